"""The record of a user who is signed in."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from gatelodge.user import User

ANN = User(
    subject="usr_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gi",
    username="ann",
    name="Ann Who",
    email="ann@example.com",
    email_verified=True,
    roles=frozenset({"user"}),
    permissions=frozenset({"account:manage"}),
    expires_at=datetime(2026, 5, 4, 12, 10, tzinfo=UTC),
    session_id="ses_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gi",
)


def test_the_uuid_of_a_subject_is_the_same_for_ever() -> None:
    """Applications store it. If this test fails, their rows lose their users."""
    assert ANN.uuid == UUID("a01e6a9b-fd61-58f1-9088-01a45e474d8e")
    assert replace(ANN, username="anna", session_id="ses_1").uuid == ANN.uuid
    assert replace(ANN, subject=ANN.subject[:-1] + "0").uuid != ANN.uuid


def test_the_text_of_a_user_in_a_log_says_neither_their_name_nor_their_address() -> None:
    assert "ann@example.com" not in repr(ANN)
    assert "Ann Who" not in repr(ANN)
    assert ANN.subject in repr(ANN)
