"""`Gatelodge.letters`: letters of the application's own."""

from collections.abc import Callable, Mapping

from gatelodge.accounts.names import check_email
from gatelodge.app import House
from gatelodge.fastapi.refusals import refusing
from gatelodge.letters.own import send_own


class Letters:
    """Sends letters of the application by the queue that sends those of Gatelodge."""

    def __init__(self, house: Callable[[], House]) -> None:
        """Ask this for the house at each call; it raises before the lifespan begins."""
        self._get = house

    async def send(
        self,
        to: str,
        template: str,
        values: Mapping[str, str] | None = None,
        language: str | None = None,
    ) -> str:
        """Send a letter, and return its id. It is stored when this returns, and not lost any more.

        ::

            await auth.letters.send(user.email, "order-shipped", {"order": "17", "link": link})

        The templates are `letters/order-shipped.txt` and `letters/order-shipped.html` in the folder
        that the setting `templates_dir` names; the HTML may be missing. The letter is sent in the
        background, at least once, and tried again for a day. The values are kept encrypted until
        then.

        Args:
            to: the reader's address.
            template: the name of the templates: small letters, digits and hyphens.
            values: what the templates show. Breaks in them become blanks.
            language: the reader's language, such as `de`; None: the setting's, or English.

        Raises:
            TypeError: a value is no text.
            ValueError: there is no such template, it is one of Gatelodge's or has an error, or a
                value is missing.
            Refused: the address is none, no letters are sent here, or the database does not answer.
        """
        letters = self._get().letters
        with refusing():
            return await send_own(letters, check_email(to), template, values or {}, language)
