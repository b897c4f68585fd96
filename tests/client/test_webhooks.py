"""What an application takes as a webhook of its server, and what it does not."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from gatelodge.client import InvalidWebhook, read_webhook
from gatelodge.webhook_signature import is_signed, key_of, new_secret, signed_headers

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TOLD = {
    "type": "user.deleted",
    "timestamp": "2026-03-01T11:59:00.123000+00:00",
    "data": {"subject": "usr_ann", "actor": "command", "detail": {"why": "asked"}},
}
BODY = json.dumps(TOLD).encode()


def headers(body: bytes = BODY, secret: str = SECRET, at: datetime = NOW) -> dict[str, str]:
    """Return the headers that the server sends with a body."""
    return signed_headers(secret, "evt_1", at, body)


def test_a_webhook_says_what_has_happened() -> None:
    shouted = {name.upper(): value for name, value in headers().items()}
    what = read_webhook(SECRET, shouted, BODY, now=NOW)

    assert (what.id, what.name, what.subject) == ("evt_1", "user.deleted", "usr_ann")
    assert (what.actor, what.detail) == ("command", {"why": "asked"})
    assert what.at == datetime(2026, 3, 1, 11, 59, 0, 123_000, tzinfo=UTC)
    assert what.uuid is not None


def test_the_signature_is_that_of_the_specification() -> None:
    """The values are the example of Standard Webhooks, which its libraries test with."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body, at = b'{"test": 2432232314}', datetime.fromtimestamp(1614265330, UTC)
    wanted = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }

    assert signed_headers(secret, wanted["webhook-id"], at, body) == wanted
    assert is_signed(secret, wanted, body, at)
    both = wanted | {"webhook-signature": f"v1,AAAA {wanted['webhook-signature']} v2,x"}
    assert is_signed(secret, both, body, at)


def test_any_of_several_secrets_may_have_signed() -> None:
    """While a secret is changed, each side may have two."""
    former, foreign = new_secret(), new_secret()
    signed = signed_headers([SECRET, former], "evt_1", NOW, BODY)
    assert signed["webhook-signature"].count("v1,") == 2
    for secrets in (SECRET, former, [foreign, former], (SECRET, foreign), {former}):
        assert read_webhook(secrets, signed, BODY, now=NOW).id == "evt_1"
    assert read_webhook([foreign, SECRET], headers(), BODY, now=NOW).id == "evt_1"
    with pytest.raises(InvalidWebhook):
        read_webhook([foreign], signed, BODY, now=NOW)


@pytest.mark.parametrize("secrets", [[], [SECRET, "changeme"]])
def test_no_secret_or_a_wrong_one_among_several_is_refused(secrets: list[str]) -> None:
    with pytest.raises(ValueError, match="webhook secret"):
        read_webhook(secrets, headers(), BODY, now=NOW)


@pytest.mark.parametrize("moment", [timedelta(minutes=-5), timedelta(), timedelta(minutes=5)])
def test_it_may_come_a_little_late_or_early(moment: timedelta) -> None:
    assert read_webhook(SECRET, headers(), BODY, now=NOW + moment).id == "evt_1"


@pytest.mark.parametrize(
    ("changed", "body", "moment"),
    [
        ({"webhook-id": "evt_2"}, BODY, NOW),
        ({"webhook-id": ""}, BODY, NOW),
        ({"webhook-timestamp": "1772366401"}, BODY, NOW),
        ({"webhook-timestamp": ""}, BODY, NOW),
        ({"webhook-timestamp": "-1"}, BODY, NOW),
        ({"webhook-timestamp": "١٧٧٢٣٦٦٤٠٠"}, BODY, NOW),
        ({"webhook-timestamp": "9" * 5000}, BODY, NOW),
        ({"webhook-signature": ""}, BODY, NOW),
        ({"webhook-signature": "v1,"}, BODY, NOW),
        ({"webhook-signature": "v1,é"}, BODY, NOW),
        ({"webhook-signature": "v1,\udc80"}, BODY, NOW),
        ({"webhook-id": "\udc80"}, BODY, NOW),
        ({"webhook-signature": headers()["webhook-signature"].replace("v1,", "v2,")}, BODY, NOW),
        ({}, BODY + b" ", NOW),
        ({}, b"", NOW),
        ({}, BODY, NOW + timedelta(minutes=5, seconds=1)),
        ({}, BODY, NOW - timedelta(minutes=5, seconds=1)),
        (headers(secret=new_secret()), BODY, NOW),
    ],
)
def test_what_the_server_did_not_send_just_now_is_refused(
    changed: dict[str, str], body: bytes, moment: datetime
) -> None:
    with pytest.raises(InvalidWebhook):
        read_webhook(SECRET, headers() | changed, body, now=moment)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_without_one_of_the_headers_it_is_refused(name: str) -> None:
    less = {key: value for key, value in headers().items() if key != name}
    with pytest.raises(InvalidWebhook):
        read_webhook(SECRET, less, BODY, now=NOW)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"null",
        b'{"type": "x"}',
        b"\xff",
        b"[" * 60_000,
        b'{"data": 1, "type": 1}',
    ],
)
def test_what_tells_nothing_is_refused_though_it_is_signed(body: bytes) -> None:
    with pytest.raises(InvalidWebhook):
        read_webhook(SECRET, headers(body), body, now=NOW)


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "changeme", "whsec_c2hvcnQ=", "whsec_####", SECRET[6:]]
)
def test_a_secret_that_is_none_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(ValueError, match="A webhook secret is whsec_") as refused:
        key_of(secret)
    assert not secret.removeprefix("whsec_") or secret not in str(refused.value)
