"""The speed that this project promises, and what would help if a run misses it."""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.report import Row


@dataclass(frozen=True, slots=True)
class Target:
    """One promise, and the row of a run that must keep it.

    Attributes:
        what: what is promised, for people.
        row: the name of the row.
        bound: the limit for the row's figure, in the row's unit.
        at_least: whether the figure must be at least the limit. Otherwise it is at most the limit.
        asked: the limit as text.
        remedy: what would help if the target is missed.
    """

    what: str
    row: str
    bound: float
    asked: str
    remedy: str
    at_least: bool = False

    def met(self, row: Row) -> bool:
        """Say whether this row keeps the promise."""
        return row.value >= self.bound if self.at_least else row.value <= self.bound


_OWN_CORES = (
    "cores that the server does not share with the database and whoever asks for lists; the row "
    "about another process says what these alone cost"
)

TARGETS = (
    Target(
        "CPU time of a token check ÷ CPU time of a static answer with the same bytes",
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
        "a repair: memory must know every caller that was checked just before",
    ),
    Target(
        "sign-ins per second, 32 at a time, compared with hashing threads ÷ time of one hash",
        "sign-ins, of the ideal",
        95,
        "≥ 95 %",
        "a sign-in that costs less besides its hash and does not disturb the hashing threads",
        at_least=True,
    ),
    Target(
        "p99 of a token check while 64 sign-ins wait ÷ its p99 while nobody signs in",
        "board beside 64 waiting sign-ins, p99 ratio",
        3,
        "≤ 3 ×",
        "a core without hashing threads (`GATELODGE_HASH_THREADS`), or a larger machine",
    ),
    Target(
        "CPU time of a refresh rotation on SQLite, durable before it is answered",
        "rotation",
        600,
        "≤ 600 µs",
        "one read instead of two before the change, and a route that does not go through FastAPI",
    ),
    Target(
        "refresh rotations per second on SQLite, 32 at a time, server on one core",
        "rotation, a second",
        1500,
        "≥ 1,500/s",
        "less CPU time per rotation (all waiting writers share one fsync, so it is not the limit)",
        at_least=True,
    ),
    Target(
        "revocations on SQLite after which both workers refuse the very next request",
        "refused at once, SQLite, two workers",
        1000,
        "1,000 of 1,000",
        "a repair: `catch_up` in `stores/sql/feed.py` must see each commit",
        at_least=True,
    ),
    Target(
        "sign-outs after which both workers of an application refuse the very next request",
        "refused at once, application, two workers",
        1000,
        "1,000 of 1,000",
        "a repair: `catch_up` in `stores/sql/feed.py` must see each commit",
        at_least=True,
    ),
    *(
        Target(
            f"{what} on one MongoDB node: p99 of the time until another node refuses",
            f"{what}, p99",
            20,
            "≤ 20 ms",
            "nodes that do not share a machine with the database and the load",
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
        "CPU time of `CurrentUser` in an application, beyond the same route without it",
        "application, CurrentUser, beyond no guard",
        15,
        "≤ 15 µs",
        "a FastAPI that resolves a dependency in less time: one that does nothing takes about as "
        "much",
    ),
    Target(
        "p99 of the time until a WebSocket is closed after a sign-out, two workers",
        "WebSocket closed, two workers, p99",
        50,
        "≤ 50 ms",
        "asking the feed more often than every 20 ms in `gate/watchers.py`",
    ),
    Target(
        "p99 of the time until a WebSocket is closed after a sign-out at another MongoDB node",
        "WebSocket closed, another node, p99",
        1000,
        "≤ 1 s",
        "a shorter way from the change stream to `gate/watchers.py`",
    ),
    Target(
        "p99 of a token check beside 9,500 slow and idle connections",
        "board beside slow connections, p99",
        50,
        "≤ 50 ms",
        "more cores: the load and the connections share those of the server here",
    ),
    Target(
        "time until the last of these connections is cut",
        "slow connections, the last one cut",
        30,
        "≤ 30 s",
        "a repair: every wait for a client has an end in `web/shell.py` or `serving.py`",
    ),
    Target(
        "memory that these connections add",
        "slow connections, memory",
        300,
        "≤ 300 MiB",
        "smaller buffers in the HTTP server",
    ),
    Target(
        "start of `gatelodge serve` on existing data, until its first answer",
        "start-up",
        1200,
        "≤ 1,200 ms",
        "importing later what only some requests or commands need",
    ),
    Target(
        "memory of `gatelodge serve` with one worker, shared pages counted once",
        "PSS after the start",
        110e6 / 1024 / 1024,
        "≤ 104.9 MiB (110 MB)",
        "importing later what only some requests or commands need",
    ),
    Target(
        "memory that bad tokens and users add",
        "growth by both",
        64,
        "≤ 64 MiB",
        "smaller bounds in `gate/memory.py`",
    ),
    Target(
        "import of 20,000,000 breached passwords",
        "breached list, import",
        300,
        "≤ 5 minutes",
        "several processes that read parts of the file",
    ),
    Target(
        "file of 20,000,000 breached passwords, beside its header",
        "breached list, file",
        160 + 40 / 1e6,
        "≤ 160 MB",
        "a repair: an entry has 8 bytes",
    ),
    Target(
        "look-up of a breached password, median",
        "breached look-up, p50",
        50,
        "≤ 50 µs",
        "smaller blocks in `breached/lookup.py`",
    ),
    Target(
        "breached passwords that 100,000 look-ups did not find",
        "breached look-ups missed",
        0,
        "0",
        "a repair: every entry of the list must be found",
    ),
    *(
        target
        for store in ("SQLite", "MongoDB")
        for target in (
            Target(
                f"letters sent a second, 1,000,000 waiting, {store}",
                f"letters, {store}",
                200,
                "≥ 200/s",
                "one write for several letters in place of one for each",
                at_least=True,
            ),
            Target(
                f"growth of memory while they are sent, {store}",
                f"letters, memory, {store}",
                32,
                "≤ 32 MiB",
                "a repair: a process holds eight letters at a time",
            ),
            Target(
                f"end of a server that sends them, {store}",
                f"letters, stop, {store}",
                5,
                "≤ 5 s",
                "a shorter time for those that are on their way, in `letters/service.py`",
            ),
        )
    ),
    *(
        Target(
            f"CPU time of a {what} in a large database ÷ in a small one",
            f"{what}, growth",
            1.2,
            "≤ 1.20 ×",
            "a check of the query plans: every key must be a primary key or a unique index",
        )
        for what in ("token check", "sign-in without its hash", "rotation")
    ),
    Target(
        "CPU time of a token check with 100,000 sessions in turn ÷ of a static answer",
        "token check, sessions in turn / limit",
        1.5,
        "≤ 1.50 ×",
        "a repair: `gate/memory.py` must hold as many tokens as it promises",
    ),
    Target(
        "memory of 100,000 tokens, each of its own session and user",
        "memory of tokens in turn",
        64,
        "≤ 64 MiB",
        "a smaller bound in `gate/memory.py`",
    ),
    *(
        Target(
            f"{what} of the slowest list of users or events, {store}",
            f"slowest list, {figure}, {store}",
            bound,
            f"≤ {bound} ms",
            "fewer users at whom a page looks: `EXAMINED` and `FEW` in `stores/*/user_search.py`",
        )
        for store in ("SQLite", "MongoDB")
        for what, figure, bound in (("median", "median", 50), ("p99", "p99", 200))
    ),
    *(
        Target(
            f"p99 of a token check beside ten lists a second ÷ its p99 alone, {store}",
            f"token check beside lists, p99 ratio, {store}",
            2,
            "≤ 2 ×",
            remedy,
        )
        for store, remedy in (
            ("SQLite", _OWN_CORES),
            ("MongoDB", _OWN_CORES),
            ("MongoDB on a core of its own", "less work for a list on the event loop"),
        )
    ),
    *(
        target
        for store in ("SQLite", "MongoDB")
        for target in (
            Target(
                f"users who come or go while lists are walked, {store}",
                f"users who came or went, {store}",
                950,
                "1,000/s asked for",
                "more processes that add and delete users",
                at_least=True,
            ),
            Target(
                f"users who stay and are missed, met twice or in another order, {store}",
                f"of them missed, met twice or in another order, {store}",
                0,
                "0",
                "a repair: a page must go on after the place where the last one ended",
            ),
        )
    ),
)


def missed(rows: Mapping[str, Row]) -> list[Target]:
    """Return the targets that these rows miss."""
    return [each for each in TARGETS if each.row in rows and not each.met(rows[each.row])]
