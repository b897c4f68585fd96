"""`python -m bench`: run all measurements, or those that `--only` names.

It prints the figures. With `--write` it also writes the page.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

from bench.machine import facts
from bench.measures import (
    breached,
    checks,
    connections,
    cpu,
    embedded,
    factors,
    growth,
    latency,
    letters,
    letters_timing,
    lists,
    memory,
    peers,
    revocation,
    rotation,
    sign_ins,
    start_up,
    timing,
    walks,
    watch,
)
from bench.page import PEERS, Measured, write_page
from bench.report import Row, heading, table
from bench.sizes import FULL, QUICK, Sizes

TIMING = "timing"
LETTERS_TIMING = "letters-timing"


@dataclass(frozen=True, slots=True)
class Measure:
    """One part of a run.

    Attributes:
        module: the module that measures. The first line of its docstring is the title.
        how: how it measures, for the page.
    """

    module: ModuleType
    how: str

    @property
    def title(self) -> str:
        """The title of the measurement."""
        return (self.module.__doc__ or "").partition("\n")[0].rstrip(".")

    @property
    def measure(self) -> Callable[[Sizes, Path], list[Row]]:
        """The function that measures."""
        measure: Callable[[Sizes, Path], list[Row]] = self.module.measure
        return measure


MEASURES = {
    "checks": Measure(
        checks,
        "Several servers are compared: static answers, Gatelodge, Gatelodge without its fast door, "
        "and Gatelodge with a change feed that is never trusted. Each server runs on one core. "
        "The load comes from another core, 32 requests at a time. The servers take turns in short "
        "rounds, in an order that changes. Each ratio compares two figures of one round: the check "
        "and the static answer that sends the same bytes as the board. The servers have answered "
        "the same requests before, so Gatelodge knows the callers from memory. One more server "
        "counts how often such a check reads the database.",
    ),
    "embedded": Measure(
        embedded,
        "A FastAPI application with Gatelodge inside has the same route without a guard, with "
        "`CurrentUser`, with `require`, with a dependency that does nothing, and with FastAPI's "
        "own `HTTPBearer`, which splits the header and checks nothing. All get the same header. "
        "It runs on Granian, on one core. The load comes from another core, 32 requests at a time, "
        "and the routes take turns. Gatelodge knows the caller from memory. If `make bench-peers` "
        "has installed it, fastapi-users does the same.",
    ),
    "watch": Measure(
        watch,
        "The application runs on uvicorn: with two workers on one SQLite file, then as two nodes "
        "over a MongoDB replica set of one member. A WebSocket is open, and its user signs out at "
        "one of the workers, or at the other node. The time runs from the acknowledged sign-out "
        "until the WebSocket is closed. Requests after a sign-out come over connections of their "
        "own, so each worker gets some.",
    ),
    "cpu": Measure(
        cpu,
        "Requests are sent one at a time, each for another user. The server runs on one core.",
    ),
    "factors": Measure(
        factors,
        "People who have never signed in do so one at a time, in three ways that take turns: by "
        "their password; by that and the code of an authenticator app, which are two requests; by "
        "a passkey alone, which are two requests too, and no hash. The server runs on one core. "
        "Codes and signatures are computed on another one.",
    ),
    "rotation": Measure(
        rotation,
        "There are 32 connections, and each has its own session. Each connection trades the "
        "refresh token that it got with the answer before. Every trade is on the disk before it "
        "is answered. The server runs on one core. The load runs on another core, and so does "
        "`mongod`.",
    ),
    "sign-ins": Measure(
        sign_ins,
        "32 people sign in at a time. The ideal rate is the number of hashing threads ÷ the time "
        "of one hash. That time is measured just before and just after, while nothing else runs.",
    ),
    "latency": Measure(
        latency,
        "One signed-in user asks for the board every few milliseconds: first alone, then while "
        "others sign in. In the first crowd 64 sign-ins always wait, so the queue is just full. In "
        "the second crowd 200 people try at a time. Most of them find the queue full, and try "
        "again at once. Every request for the board must be answered with 200.",
    ),
    "connections": Measure(
        connections,
        "A fifth of the connections each sends nothing, keeps its connection after one request, "
        "sends its headers or its body byte by byte, and asks for the OpenAPI document and reads "
        "nothing. Two seconds after they are open, one signed-in user asks for the board every "
        "few milliseconds. A connection is cut when the server has closed its file.",
    ),
    "growth": Measure(
        growth,
        "Two servers get the same requests in turn. One has a small database, the other a large "
        "one; both databases were written directly into the file. The people who sign in come from "
        "all parts of the database. After that, a new server has the large database, and its "
        "sessions take turns, 32 requests at a time. Each of these sessions has its own access "
        "token. All of them have asked once before. Every round has a run with few sessions, runs "
        "with more, one with as many as memory holds tokens, and one of a static answer that sends "
        "the same bytes.",
    ),
    "revocation": Measure(
        revocation,
        "Each change is made to a new user. Before the change, every worker or node that is asked "
        "has answered for this user from memory. SQLite: one server has two workers. Both are "
        "asked once as soon as the change is made, while other users keep asking. A session ends "
        "by a sign-out at one of the workers; another process writes the other changes. MongoDB: "
        "two nodes use a replica set of one member. The time runs from the acknowledged write of "
        "one node to the first refusal by the other, which is asked without a pause. One promise "
        "has no figure here: while the change stream is cut, no memory older than one second "
        "answers. The stream is cut when a primary steps down or freezes, or when a stream or an "
        "event loop stops. `tests/faults/test_feed_lost.py` tests that promise.",
    ),
    "start-up": Measure(
        start_up, "The time runs from the start of the process to the first 200 from `/healthz`."
    ),
    "memory": Measure(
        memory,
        "RSS counts the pages that the two processes share twice, PSS counts them once. The growth "
        "is that of one process. Its gate refuses bad tokens (garbage, forged signatures, unknown "
        "keys, sessions that never existed). After that it lets users in.",
    ),
    "breached": Measure(
        breached,
        "The list has the form in which Have I Been Pwned publishes it, but is in no order, which "
        "is the slowest case. Each look-up is timed as a server makes it: it asks whether the file "
        "is still the same, hashes the password, and reads the file, which is in the page cache.",
    ),
    "letters": Measure(
        letters,
        "A million letters wait in the queue when the server starts. It writes each from its "
        "template, and hands it to a mail server on the same machine, which takes it at once.",
    ),
    "lists": Measure(
        lists,
        "`bench/town.py` makes users who signed up in three years, and the events of 300 days. "
        "Each list is asked of the stores, 50 users or events a page. Lists of one name differ in "
        "what they look for, and take turns. The thousandth page is reached page by page. Then the "
        "API is asked for the same lists of users, which it also counts. In rounds of ten seconds "
        "each, a token is checked again and again: alone, beside these lists, and while another "
        "process asks the same of the database. Ratios are of one round. Everything shares the "
        "cores; for MongoDB there are also rounds in which it and whoever asks for lists have the "
        "last core, and the server and the checks the first.",
    ),
    "walks": Measure(
        walks,
        "Seven lists of 20,000 users are walked by the API, 50 users a page, each from its first "
        "page to its last: first while nothing changes, then while another process adds users and "
        "deletes them again, whose names and times lie between those of the users who stay. These "
        "must be met once each, in the same order.",
    ),
    TIMING: Measure(
        timing,
        "Two kinds of names take turns on one connection, in an order that changes from pair to "
        "pair. Passwords are wrong. There are 12 names of each kind; the blocked names have failed "
        "a hundred times. Users who are not yet rehashed are asked for at a server whose hashes "
        "take twice the memory. The control is Gatelodge without the dummy hash, whose failures "
        "are answered at once. A should be between 0.45 and 0.55, and that of the control should "
        "not.",
    ),
    LETTERS_TIMING: Measure(
        letters_timing,
        "Two kinds of addresses take turns on one connection, in an order that changes from pair "
        "to pair, while letters are sent to a mail server beside. Known addresses are hidden. The "
        "control writes and sends the letter before it answers. A should be between 0.45 and 0.55, "
        "and that of the control should not.",
    ),
    PEERS: Measure(
        peers,
        "Each project runs as its own server. CPU time is measured on one core: checks 32 at a "
        "time, sign-ins one at a time. Sign-ins per second are measured on all cores, 32 at a "
        "time. The other projects read the user from the database at every check. That is how they "
        "learn of a change.",
    ),
}


BY_NAME_ONLY = {LETTERS_TIMING, PEERS, TIMING}
"""Measured only if `--only` names them: one needs other packages, two take long."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the measurements, and print each one as soon as it is done."""
    given = _parser().parse_args(arguments)
    for name in [name for name in os.environ if name.startswith("GATELODGE_")]:
        del os.environ[name]  # a setting from outside could change the figures
    names = given.only or [name for name in MEASURES if name not in BY_NAME_ONLY]
    machine = facts()
    print(heading(machine), flush=True)
    sizes = QUICK if given.quick else FULL
    measured = dict(_measure(names, sizes, machine))
    if given.write:
        write_page(given.write, measured)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="send few requests, as a test")
    parser.add_argument("--only", nargs="+", choices=MEASURES, metavar="NAME", help=_NAMES)
    parser.add_argument(
        "--write", type=Path, metavar="DOCS", help="write performance.md and its pictures to DOCS"
    )
    return parser


_NAMES = f"measure only these: {', '.join(MEASURES)}"


def _measure(
    names: Sequence[str], sizes: Sizes, machine: dict[str, str]
) -> Iterator[tuple[str, Measured]]:
    for name in names:
        part = MEASURES[name]
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="gatelodge-bench-") as folder:
            rows = part.measure(sizes, Path(folder))
        print(f"\n{table(f'{part.title} ({time.monotonic() - began:.0f} s)', rows)}", flush=True)
        yield name, Measured(part.title, part.how, _command(name, sizes), _today(), machine, rows)


def _command(name: str, sizes: Sizes) -> str:
    if sizes is QUICK:
        return f"python -m bench --quick --only {name}"  # shows that the figures mean nothing
    if name == TIMING:
        return f"python -m bench --only {name}"
    return "make bench-peers" if name == PEERS else "make bench"


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


if __name__ == "__main__":
    main()
