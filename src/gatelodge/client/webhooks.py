"""Webhooks of a Gatelodge server, for the application that receives them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gatelodge.client.refusals import InvalidWebhook
from gatelodge.notification import Notification
from gatelodge.webhook_signature import ID, is_signed


def read_webhook(
    secret: str, headers: Mapping[str, str], body: bytes, *, now: datetime | None = None
) -> Notification:
    """Return what a webhook tells, if the server has sent it within the last five minutes.

    Args:
        secret: what `gatelodge webhook add` printed, `whsec_…`.
        headers: the headers of the request; the case of their names does not matter.
        body: the body of the request, byte for byte.
        now: the current time; None: the machine's.

    Raises:
        InvalidWebhook: somebody else has sent it, it is too old, or it tells nothing.
        ValueError: the secret is none.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    if not is_signed(secret, lowered, body, now or datetime.now(UTC)):
        raise InvalidWebhook
    try:
        told = json.loads(body)
        return _notification(lowered[ID], told)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InvalidWebhook from error


def _notification(message_id: str, told: Any) -> Notification:
    data = told["data"]
    at = datetime.fromisoformat(told["timestamp"])
    detail = {} if data.get("detail") is None else dict(data["detail"])
    texts = [told["type"], *detail, *detail.values()]
    texts += [each for each in (data.get("subject"), data.get("actor")) if each is not None]
    if at.tzinfo is None or not all(isinstance(each, str) for each in texts):
        raise ValueError("not what a Gatelodge server tells")
    return Notification(
        id=message_id,
        name=told["type"],
        at=at,
        subject=data.get("subject"),
        actor=data.get("actor"),
        detail=detail,
    )
