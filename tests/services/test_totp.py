"""Codes of authenticator apps: the vectors of both RFCs, and another program's codes."""

import os
import secrets
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from gatelodge.credentials.totp import (
    SECRET_BYTES,
    app_address,
    code_of,
    matching_step,
    new_secret,
    step_at,
    typed_secret,
)

SECRET = b"12345678901234567890"
"""The secret of both RFCs."""

RFC_6238 = [
    (59, "94287082"),
    (1111111109, "07081804"),
    (1111111111, "14050471"),
    (1234567890, "89005924"),
    (2000000000, "69279037"),
    (20000000000, "65353130"),
]
"""RFC 6238, appendix B: the rows with SHA-1."""

RFC_4226 = [
    "755224",
    "287082",
    "359152",
    "969429",
    "338314",
    "254676",
    "287922",
    "162583",
    "399871",
    "520489",
]
"""RFC 4226, appendix D: the codes of the counts 0 to 9."""

STEP = timedelta(seconds=30)
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize(("seconds", "eight_digits"), RFC_6238)
def test_the_codes_are_those_of_rfc_6238(seconds: int, eight_digits: str) -> None:
    """A code is a number modulo 10 to the number of digits: ours are the last six of their eight.

    The number itself, and which bytes of the HMAC it is, do not depend on the digits (RFC 4226,
    section 5.3).
    """
    at = datetime.fromtimestamp(seconds, UTC)
    code = code_of(SECRET, step_at(at))

    assert code == eight_digits[-6:]
    assert matching_step(SECRET, code, at) == seconds // 30
    assert matching_step(SECRET, eight_digits, at) is None


@pytest.mark.parametrize(("count", "code"), list(enumerate(RFC_4226)))
def test_the_codes_are_those_of_rfc_4226(count: int, code: str) -> None:
    assert code_of(SECRET, count) == code


@pytest.mark.parametrize(
    ("steps", "right"), [(-2, False), (-1, True), (0, True), (1, False), (2, False)]
)
def test_the_present_and_the_past_step_are_right(steps: int, right: bool) -> None:
    step = step_at(NOON) + steps
    assert matching_step(SECRET, code_of(SECRET, step), NOON) == (step if right else None)


@pytest.mark.parametrize("milliseconds", [0, 1, 29_999])
def test_a_step_is_thirty_seconds_long(milliseconds: int) -> None:
    within = NOON + timedelta(milliseconds=milliseconds)
    assert step_at(within) == step_at(NOON)
    assert step_at(within + STEP) == step_at(NOON) + 1


@pytest.mark.parametrize(
    ("typed", "right"),
    [
        ("081804", True),
        ("081 804", True),
        (" 081804\n", True),
        ("0 8 1 8 0 4", True),
        ("81804", False),
        ("07081804", False),
        ("081804 081804", False),
        ("+81804", False),
        ("081-804", False),
        ("٠٨١٨٠٤", False),
        ("０８１８０４", False),
        ("", False),
        (" ", False),
        ("\ud800", False),
        ("0" * 10_000, False),
    ],
)
def test_what_is_typed_must_be_the_six_digits(typed: str, right: bool) -> None:
    """Blanks between them do not count, and no other digits than 0 to 9 do."""
    at = datetime.fromtimestamp(1111111109, UTC)
    assert (matching_step(SECRET, typed, at) is not None) is right


def test_a_secret_is_new_each_time_and_typed_in_base32() -> None:
    made = {new_secret() for _ in range(1000)}
    assert len(made) == 1000
    assert {len(each) for each in made} == {SECRET_BYTES}
    assert typed_secret(SECRET) == "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    assert all("=" not in typed_secret(each) for each in made)


@pytest.mark.parametrize("issuer", ["Meadow", "Meadow & Söhne: Kühe?", "a/b%3A c"])
def test_the_address_says_what_an_app_needs(issuer: str) -> None:
    """No colon in the name of the site is taken for the one before the name of the user."""
    parts = urlsplit(app_address(SECRET, issuer, "ann@example.com"))
    told = {name: values[0] for name, values in parse_qs(parts.query).items()}
    named, _, account = unquote(parts.path[1:]).partition(":")

    assert (parts.scheme, parts.netloc) == ("otpauth", "totp")
    assert account == "ann@example.com"
    assert named == told["issuer"] == issuer.replace(":", " ")
    assert told["secret"] == typed_secret(SECRET)
    rest = {"algorithm": "SHA1", "digits": "6", "period": "30"}
    assert rest == rest | {name: told[name] for name in rest if name in told}


def test_another_program_shows_the_same_codes() -> None:
    """Debian's `oathtool`, for random secrets, at random instants."""
    program = shutil.which("oathtool")
    if program is None:
        refuse = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        refuse("there is no oathtool: scripts/install-test-tools installs it")
    for _ in range(50):
        secret, at = new_secret(), NOON + timedelta(seconds=secrets.randbelow(10**9))
        command = [program, "--totp", "--base32", f"--now={at:%Y-%m-%d %H:%M:%S} UTC", "-"]
        done = subprocess.run(
            command, input=typed_secret(secret), capture_output=True, text=True, check=True
        )
        assert matching_step(secret, done.stdout, at) == step_at(at)
