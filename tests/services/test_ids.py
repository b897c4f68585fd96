"""Ids are short and sortable, and each id has exactly one spelling."""

import base64
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatelodge.ids import id_from_bytes, id_to_bytes, new_id
from tests.support.clock import NOON


@given(st.binary(min_size=22, max_size=22))
def test_what_was_written_is_read(raw: bytes) -> None:
    """The text is base32hex, as the standard library writes it."""
    text = id_from_bytes("ses", raw)
    assert text == "ses_" + base64.b32hexencode(raw).rstrip(b"=").decode().lower()
    assert id_to_bytes("ses", text) == raw


def test_later_ids_sort_later() -> None:
    """So the newest records are at the end of an index."""
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
        lambda text: text[:-1] + "v",  # sets bits that belong to no byte
        lambda text: text[:10] + "_" + text[11:],
        lambda text: text[:10] + "w" + text[11:],
        lambda text: text[:10] + "é" + text[11:],
        lambda text: text + "\n",
        lambda _text: "",
    ],
    ids=range(12),
)
def test_no_other_spelling_is_read(change) -> None:  # type: ignore[no-untyped-def]
    """Each id can be written in only one way."""
    with pytest.raises(ValueError, match="not an id"):
        id_to_bytes("ses", change(id_from_bytes("ses", bytes(range(22)))))
