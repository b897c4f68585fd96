"""Ids: short, sortable, and written in one way only."""

import base64
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatelodge.ids import id_from_bytes, id_to_bytes, new_id
from tests.support.clock import NOON


@given(st.binary(min_size=22, max_size=22))
def test_what_was_written_is_read(raw: bytes) -> None:
    """As the standard library writes base32hex."""
    text = id_from_bytes("ses", raw)
    assert text == "ses_" + base64.b32hexencode(raw).rstrip(b"=").decode().lower()
    assert id_to_bytes("ses", text) == raw


def test_later_ids_sort_later() -> None:
    """So that the newest of anything is the end of its index."""
    ids = [new_id("usr", NOON + timedelta(milliseconds=n)) for n in range(100)]
    assert sorted(ids) == ids
    assert len({new_id("usr", NOON) for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        lambda text: text + "0",
        lambda text: text[:-1],
        lambda text: " " + text,
        lambda text: text.replace("ses_", "usr_"),
        lambda text: text.replace("ses_", "ses-"),
        lambda text: text[:-1] + "v",  # bits that no byte holds
        lambda text: text[:10] + "_" + text[11:],
        lambda text: text[:10] + "w" + text[11:],
        lambda text: text[:10] + "é" + text[11:],
        lambda text: text + "\n",
        lambda _text: "",
    ],
    ids=range(12),
)
def test_no_other_spelling_is_read(change) -> None:  # type: ignore[no-untyped-def]
    """One id, one text."""
    with pytest.raises(ValueError, match="not an id"):
        id_to_bytes("ses", change(id_from_bytes("ses", bytes(range(22)))))
