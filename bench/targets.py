"""The speed this project holds itself to, and what would help where a run missed it."""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.report import Row


@dataclass(frozen=True, slots=True)
class Target:
    """One promise and the row of a run that it is held against.

    Attributes:
        what: is promised, for people.
        row: the name of the row.
        bound: how far it may go, in the row's unit.
        at_least: whether more is better.
        asked: how the promise is written.
        remedy: what would help, for the day it is missed.
    """

    what: str
    row: str
    bound: float
    asked: str
    remedy: str
    at_least: bool = False

    def met(self, row: Row) -> bool:
        """Say whether the run kept it."""
        return row.value >= self.bound if self.at_least else row.value <= self.bound


TARGETS = (
    Target(
        "token check, CPU ÷ that of a static answer of the same bytes",
        "token check / limit",
        1.25,
        "≤ 1.25 ×",
        "fewer steps between the ASGI scope and the answer in `web/fast_door.py`",
    ),
    Target(
        "database reads of 1,000 warm token checks",
        "database reads of 1,000 warm checks",
        0,
        "0",
        "a repair: memory must know whoever was asked about just now",
    ),
    Target(
        "sign-in throughput, 32 at a time, of hash threads ÷ time of one hash",
        "sign-ins, of the ideal",
        95,
        "≥ 95 %",
        "a sign-in that is cheaper beside its hash, and leaves the hashing threads alone",
        at_least=True,
    ),
    Target(
        "token-check p99 while 64 sign-ins wait, of its p99 with none",
        "board beside 64 waiting sign-ins, p99 ratio",
        3,
        "≤ 3 ×",
        "a core that hashes nothing (`GATELODGE_HASH_THREADS`), or a larger machine",
    ),
    Target(
        "refresh rotation on SQLite, durable before the answer, CPU",
        "rotation",
        600,
        "≤ 600 µs",
        "one read instead of two before the change, and a route that FastAPI does not take apart",
    ),
    Target(
        "refresh rotations on SQLite, 32 at a time, one core",
        "rotation, a second",
        1500,
        "≥ 1,500/s",
        "less CPU per rotation: the disk's fsync, shared by all who wait, is not what limits it",
        at_least=True,
    ),
    Target(
        "revocations on SQLite, refused by both workers at once",
        "refused at once, SQLite, two workers",
        1000,
        "1,000 of 1,000",
        "nothing but a repair: `catch_up` in `stores/sql/feed.py` must see each commit",
        at_least=True,
    ),
    *(
        Target(
            f"{what} on one MongoDB node, refused on another, p99",
            f"{what}, p99",
            20,
            "≤ 20 ms",
            "nodes that are not on the machine of their database and their load",
        )
        for what in (
            "role taken",
            "session ended",
            "user disabled",
            "user deleted",
            "password changed",
        )
    ),
    Target(
        "`gatelodge serve` on existing data, to its first answer",
        "start-up",
        1200,
        "≤ 1,200 ms",
        "importing later what only some requests or commands need",
    ),
    Target(
        "memory of `gatelodge serve`, one worker, shared pages counted once",
        "PSS after the start",
        110e6 / 1024 / 1024,
        "≤ 104.9 MiB (110 MB)",
        "importing later what only some requests or commands need",
    ),
    Target(
        "memory that bad tokens and users seen add",
        "growth by both",
        64,
        "≤ 64 MiB",
        "smaller bounds in `gate/view.py` and `gate/principal.py`",
    ),
    *(
        Target(
            f"{what}, large database ÷ small",
            f"{what}, growth",
            1.2,
            "≤ 1.20 ×",
            "a look at the query plans: every key must be a primary key or a unique index",
        )
        for what in ("token check", "sign-in without its hash", "rotation")
    ),
    Target(
        "token check, 10,000 sessions in turn ÷ 10",
        "token check, sessions in turn, ratio",
        1.2,
        "≤ 1.20 ×",
        "a memory in `gate/recent.py` that holds as many tokens as it says",
    ),
)


def missed(rows: Mapping[str, Row]) -> list[Target]:
    """Return the targets that these rows do not meet."""
    return [each for each in TARGETS if each.row in rows and not each.met(rows[each.row])]
