"""What every house and client would make anew, from the same files and texts, kept by this process.

The bytecode of Jinja's templates, the files of the API reference and of the console, the SQL of
statements, and the certificate authorities that HTTP clients trust.
"""

import os
import ssl
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from httpx2 import create_ssl_context
from httpx2._transports import default
from jinja2 import BytecodeCache, Environment
from jinja2.bccache import Bucket
from sqlalchemy import create_engine
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from gatelodge.letters import writing
from gatelodge.pages import html
from gatelodge.stores.sql import database


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


def keep(patch: pytest.MonkeyPatch) -> None:
    """Let everything in this process share it."""
    for module in (html, writing):
        _keep_bytecode(patch, module)
    for name in ("_reference", "_console"):
        patch.setattr(html, name, cache(getattr(html, name)))
    _keep_sql(patch)
    _keep_authorities(patch)


def _keep_bytecode(patch: pytest.MonkeyPatch, module: ModuleType) -> None:
    make: Callable[[Path | None], Environment] = module._environment
    kept = KeptBytecode()

    def environment(templates: Path | None) -> Environment:
        made = make(templates)
        made.bytecode_cache = kept
        return made

    patch.setattr(module, "_environment", environment)


def _keep_sql(patch: pytest.MonkeyPatch) -> None:
    """Keep the SQL of each statement. SQLAlchemy keeps it for each engine, by its dialect."""
    kept: dict[Any, Any] = {}
    options = {"compiled_cache": kept}
    patch.setattr(database, "create_engine", partial(create_engine, execution_options=options))
    patch.setattr(SQLiteDialect_pysqlite, "__eq__", lambda self, other: type(self) is type(other))
    patch.setattr(SQLiteDialect_pysqlite, "__hash__", lambda self: hash(type(self)))


def _keep_authorities(patch: pytest.MonkeyPatch) -> None:
    """Read the authorities of this machine once; most clients speak to servers without TLS."""

    @cache
    def usual(file: str | None, folder: str | None) -> ssl.SSLContext:
        return create_ssl_context()

    def context(
        verify: ssl.SSLContext | str | bool = True, cert: Any = None, trust_env: bool = True
    ) -> ssl.SSLContext:
        if verify is True and cert is None and trust_env:
            return usual(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
        return create_ssl_context(verify, cert, trust_env)

    patch.setattr(default, "create_ssl_context", context)
