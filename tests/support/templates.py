"""Jinja's bytecode, kept by this process: each test builds pages anew, of the same templates."""

from functools import partial

import pytest
from jinja2 import BytecodeCache, Environment
from jinja2.bccache import Bucket

from gatelodge.pages import html


class KeptBytecode(BytecodeCache):
    """Keeps the bytecode of every template, by its name and its text."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        self._kept: dict[tuple[str, str], bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Fill in what was kept."""
        kept = self._kept.get((bucket.key, bucket.checksum))
        if kept is not None:
            bucket.bytecode_from_string(kept)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what was compiled."""
        self._kept[bucket.key, bucket.checksum] = bucket.bytecode_to_string()


def keep_bytecode(patch: pytest.MonkeyPatch) -> None:
    """Let every environment of pages share what was compiled."""
    patch.setattr(html, "Environment", partial(Environment, bytecode_cache=KeptBytecode()))
