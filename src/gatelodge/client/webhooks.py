"""Webhooks of a Gatelodge server, for the application that receives them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gatelodge import strict_json
from gatelodge.client.reading import instant, text
from gatelodge.client.refusals import InvalidWebhook
from gatelodge.notification import Notification
from gatelodge.webhook_signature import ID, Secrets, is_signed


def read_webhook(
    secret: Secrets, headers: Mapping[str, str], body: bytes, *, now: datetime | None = None
) -> Notification:
    """Return what a webhook tells, if the server has sent it within the last five minutes.

    Args:
        secret: what `gatelodge webhook add` printed, `whsec_…`; or several of them, of which one
            has signed, while the secret is changed.
        headers: the headers of the request; the case of their names does not matter.
        body: the body of the request, byte for byte.
        now: the current time; None: the machine's.

    Raises:
        InvalidWebhook: somebody else has sent it, it is too old, or it tells nothing.
        ValueError: there is no secret, or one of them is none.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    if not is_signed(secret, lowered, body, now or datetime.now(UTC)):
        raise InvalidWebhook
    try:
        return _notification(lowered[ID], strict_json.parse(body))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise InvalidWebhook from error


def _notification(message_id: str, told: Any) -> Notification:
    data = told["data"]
    subject, actor = data.get("subject"), data.get("actor")
    detail = {} if data.get("detail") is None else data["detail"]
    return Notification(
        id=message_id,
        name=text(told["type"]),
        at=instant(told["timestamp"]),
        subject=None if subject is None else text(subject),
        actor=None if actor is None else text(actor),
        detail={name: text(value) for name, value in detail.items()},
    )
