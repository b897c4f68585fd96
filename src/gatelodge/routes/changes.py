"""What has changed between two reports of `routes check`, for whoever reviews a change."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from gatelodge.errors import ConfigurationError
from gatelodge.routes.access import Access
from gatelodge.routes.report import NOBODY_SAYS, Line
from gatelodge.routes.samples import without_names

Kind: TypeAlias = Literal["new", "gone", "weaker", "stricter"]
"""`weaker`: the new rule admits somebody whom the old one refused."""

_EVERYBODY = Access(public=True)
_Routes: TypeAlias = "dict[tuple[str, str, str], _Said]"


@dataclass(frozen=True, slots=True)
class Change:
    """A route that is new or gone, or has another rule.

    Attributes:
        kind: what has changed.
        method: the method of the route.
        path: its path, with the host if there is one.
        before: who could call; empty: there was no such route.
        now: who can call; empty: there is no such route.
    """

    kind: Kind
    method: str
    path: str
    before: str
    now: str

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "change": self.kind,
            "method": self.method,
            "path": self.path,
            "before": self.before or None,
            "now": self.now or None,
        }


@dataclass(frozen=True, slots=True)
class _Said:
    """What a report says of a route that requests reach."""

    path: str
    words: str
    access: Access | None


def changes_since(old: Path, lines: Iterable[Line]) -> list[Change]:
    """Return what has changed since a report was written, sorted by path.

    Args:
        old: the file with the report, as `routes check --json` printed it.
        lines: the report of now.

    Raises:
        ConfigurationError: the file cannot be read, or is no such report.
    """
    before = _read(old)
    now = {
        line.key: _Said(line.shown_path, line.words, line.access)
        for line in reversed(list(lines))
        if not line.unreached
    }
    changes = (_change(key, before.get(key), now.get(key)) for key in {**before, **now})
    found = [each for each in changes if each is not None]
    return sorted(found, key=lambda each: (each.path, each.method))


def _change(key: tuple[str, str, str], before: _Said | None, now: _Said | None) -> Change | None:
    method = key[0]
    if before is None or now is None:
        there = before or now
        assert there is not None, "one of them has the route"  # noqa: S101
        kind: Kind = "new" if before is None else "gone"
        was, is_ = (before.words if before else ""), (now.words if now else "")
        return Change(kind, method, there.path, was, is_)
    if before.access == now.access:
        return None
    kind = "stricter" if _effective(now).implies(_effective(before)) else "weaker"
    return Change(kind, method, now.path, before.words, now.words)


def _effective(said: _Said) -> Access:
    """Return who may call in fact: where nobody says so, anybody."""
    return said.access or _EVERYBODY


def _read(file: Path) -> _Routes:
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
        return {
            (row["method"], row["host"] or "", without_names(row["path"])): _Said(
                f"{row['host'] or ''}{row['path']}",
                NOBODY_SAYS if row["access"] is None else row["rule"],
                Access.from_json(row["access"]),
            )
            for row in reversed(rows)
            if row["reached"]
        }
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigurationError(
            f"{file} is no report of `gatelodge routes check --json`."
        ) from None
