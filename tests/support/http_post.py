"""The example of docs/guides/mail.md: a post to a mail service with an HTTP API."""

import httpx2

from gatelodge.letters.mail import Mail
from gatelodge.letters.post import AnswerLost, Deferred, Undeliverable


class HttpPost:
    """A `Post` to a mail service with an HTTP API."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._client = httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=30)

    async def deliver(self, mail: Mail) -> None:
        letter = {
            "from": mail.sender,
            "to": mail.to,
            "subject": mail.subject,
            "text": mail.text,
            "html": mail.html,
            "headers": {"Message-ID": f"<{mail.message_id}>", **mail.headers},
        }
        try:
            answer = await self._client.post(self._url, json=letter)
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            raise Deferred("The mail service cannot be reached.", is_general=True) from None
        except httpx2.HTTPError:
            raise AnswerLost("The mail service did not answer.") from None
        if answer.status_code in {400, 413, 422}:  # it will never take this letter
            raise Undeliverable(f"The mail service answered {answer.status_code}.")
        if not answer.is_success:
            raise Deferred(f"The mail service answered {answer.status_code}.", is_general=True)

    async def close(self) -> None:
        await self._client.aclose()
