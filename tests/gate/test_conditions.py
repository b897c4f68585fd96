"""Who meets the conditions of a route: rights, and when and how somebody has signed in."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from gatelodge.clock import LEEWAY
from gatelodge.credentials.refusals import ReauthenticationRequired
from gatelodge.gate.conditions import Condition, asking, condition_for
from gatelodge.gate.refusals import Forbidden
from gatelodge.methods import BY_EMAIL_CODE, BY_PASSWORD, acr_of, level_of, together
from tests.contracts.builders import NOON
from tests.support.clock import FakeClock

FIVE = timedelta(minutes=5)
SECOND = timedelta(seconds=1)
BOTH = together(BY_PASSWORD, ("otp",), ("mfa",))


@dataclass
class Somebody:
    """A caller."""

    subject: str = "usr_1"
    roles: frozenset[str] = frozenset({"user"})
    permissions: frozenset[str] = frozenset()
    authenticated_at: datetime | None = NOON
    methods: frozenset[str] = field(default_factory=lambda: frozenset(BY_PASSWORD))


def refused(condition: Condition, **who: Any) -> dict[str, object] | None:
    """Return what the refusal says of the proof that is wanted, or None: there was no refusal."""
    clock = FakeClock(NOON + FIVE)
    try:
        condition.check(Somebody(**who), clock)
    except ReauthenticationRequired as refusal:
        return dict(refusal.members)
    return None


@pytest.mark.parametrize(
    ("asked", "who", "members"),
    [
        ({"fresh": FIVE}, {}, None),
        ({"fresh": FIVE}, {"authenticated_at": NOON - SECOND}, {"max_age": 300}),
        ({"fresh": timedelta(0)}, {}, {"max_age": 0}),
        ({"aal": 2}, {}, {"acr_values": "aal2"}),
        ({"aal": 2}, {"methods": frozenset(BOTH)}, None),
        ({"aal": 2}, {"methods": frozenset()}, {"acr_values": "aal2"}),
        ({"aal": 2}, {"methods": frozenset({"pwd", "otp"})}, {"acr_values": "aal2"}),
        ({"aal": 2}, {"methods": frozenset(BOTH), "authenticated_at": None}, None),
        ({"methods": "pwd"}, {}, None),
        ({"methods": "otp"}, {}, {}),
        ({"methods": ["hwk", "pwd"]}, {}, None),
        ({"methods": ["hwk", "otp"]}, {"methods": frozenset(BOTH)}, None),
        ({"methods": "pwd", "aal": 2, "fresh": FIVE}, {}, {"max_age": 300, "acr_values": "aal2"}),
    ],
)
def test_when_and_how_somebody_has_signed_in(
    asked: dict[str, Any], who: dict[str, Any], members: dict[str, object] | None
) -> None:
    assert refused(condition_for(**asked), **who) == members


def test_rights_are_asked_first() -> None:
    """Whoever lacks a role is not sent to prove something that would not help."""
    with pytest.raises(Forbidden):
        refused(condition_for(role="editor", aal=2))


@pytest.mark.parametrize("at", [None, NOON + timedelta(days=30)])
def test_a_proof_of_which_nobody_knows_when_it_was_is_none(at: datetime | None) -> None:
    """It may lie in the future, written by a clock that was wrong."""
    assert refused(condition_for(fresh=FIVE), authenticated_at=at) == {"max_age": 300}


def test_clocks_may_differ_a_little() -> None:
    late = NOON + FIVE + LEEWAY
    assert refused(condition_for(fresh=FIVE), authenticated_at=late) is None
    assert refused(condition_for(fresh=FIVE), authenticated_at=late + SECOND) == {"max_age": 300}


@pytest.mark.parametrize(
    "asked", [{"aal": 0}, {"aal": 3}, {"methods": ""}, {"methods": ["pwd", ""]}]
)
def test_what_nobody_could_meet_cannot_be_asked(asked: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"aal is 1 or 2|is empty"):
        condition_for(**asked)


@pytest.mark.parametrize("asked", [{"aal": 2}, {"methods": "otp"}, {"fresh": FIVE}, {"role": "x"}])
def test_a_require_must_ask_for_something(asked: dict[str, Any]) -> None:
    assert asking(condition_for(**asked), otherwise="CurrentUser")
    with pytest.raises(ValueError, match="CurrentUser admits everybody"):
        asking(condition_for(), otherwise="CurrentUser")


def test_several_factors_are_one_level_more() -> None:
    assert [level_of(each) for each in (BY_PASSWORD, BY_EMAIL_CODE, BOTH, ())] == [1, 1, 2, 1]
    assert (acr_of(BY_PASSWORD), acr_of(BOTH)) == ("aal1", "aal2")
    assert together(BOTH, BY_PASSWORD, ("hwk",)) == ("pwd", "otp", "mfa", "hwk")
