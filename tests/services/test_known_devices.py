"""The cookie by which a browser is known."""

import re

import pytest

from gatelodge.sessions.known_devices import KnownDevices
from tests.contracts.builders import NOON, a_user

DEVICES = KnownDevices(b"k" * 32)


def test_a_browser_is_known_to_its_last_eight_users() -> None:
    users = [a_user(last_sign_in_at=NOON) for _ in range(10)]
    cookie = ""
    for user in users:
        assert DEVICES.news_of(cookie, user) == "new"
        cookie = DEVICES.with_user(cookie, user)
    cookie = DEVICES.with_user(cookie, users[2])  # for the second time

    assert [DEVICES.news_of(cookie, user) for user in users] == ["new"] * 2 + ["known"] * 8
    assert DEVICES.news_of(cookie, a_user()) == "first"
    assert KnownDevices(b"o" * 32).news_of(cookie, users[2]) == "new"


@pytest.mark.parametrize(
    "cookie", ["x", "..", "é" * 16, 'a"b', "\x01", "a" * 7000, "a" * 16 + ".b", "a" * 16 + "\n"]
)
def test_nothing_is_taken_over_from_a_cookie_that_is_none_of_ours(cookie: str) -> None:
    """Else the answer would repeat what somebody has put into the browser."""
    ann = a_user(last_sign_in_at=NOON)
    given = DEVICES.with_user(cookie, ann)

    assert re.fullmatch(r"[\w-]{16}\.[\w-]{16}", given, re.ASCII)
    assert DEVICES.news_of(given, ann) == "known"
    assert DEVICES.news_of(cookie, ann) == "new"
