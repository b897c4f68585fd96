"""`python -m bench`: measure everything, or what `--only` names; print it, and write the page."""

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
    checks,
    cpu,
    growth,
    latency,
    memory,
    peers,
    revocation,
    rotation,
    sign_ins,
    start_up,
)
from bench.page import PEERS, Measured, write_page
from bench.report import Row, heading, table
from bench.sizes import FULL, QUICK, Sizes


@dataclass(frozen=True, slots=True)
class Measure:
    """One part of a run.

    Attributes:
        module: does it, and says in its docstring what and how.
        how: it is done, for the page.
    """

    module: ModuleType
    how: str

    @property
    def title(self) -> str:
        """What is measured."""
        return (self.module.__doc__ or "").partition("\n")[0].rstrip(".")

    @property
    def measure(self) -> Callable[[Sizes, Path], list[Row]]:
        """Do it."""
        measure: Callable[[Sizes, Path], list[Row]] = self.module.measure
        return measure


MEASURES = {
    "checks": Measure(
        checks,
        "Static answers, Gatelodge, Gatelodge without its fast door, and Gatelodge with a change "
        "feed that is never trusted, each a server of its own on one core, take turns in short "
        "rounds and in an order that changes, 32 requests at a time from another core. The ratios "
        "are of one round each, to the static answer that sends the very bytes of the board. "
        "Everything is warm; what is read of the database then is counted on one more server.",
    ),
    "cpu": Measure(cpu, "One request at a time, each by somebody new; the server on one core."),
    "rotation": Measure(
        rotation,
        "32 connections, each with a session of its own, each trading the refresh token that came "
        "with the answer before; every trade is on the disk when it is answered. Server on one "
        "core, load (and `mongod`) on another.",
    ),
    "sign-ins": Measure(
        sign_ins,
        "32 people at a time. The ideal is the number of hashing threads ÷ the time that one hash "
        "takes by itself just before and after.",
    ),
    "latency": Measure(
        latency,
        "One signed-in user asks for the board every few milliseconds, alone and then beside so "
        "many sign-ins that 64 always wait, which is the whole queue, and then beside 200 at a "
        "time, most of which find it full and try again at once; every check must be answered 200.",
    ),
    "growth": Measure(
        growth,
        "The same requests to two servers in turn: one over a small database, one over a large "
        "one, both seeded straight into the file. People from all over the database sign in. Then "
        "sessions of the large one take turns, 32 requests at a time, each session with an access "
        "token of its own: few, many and as many as memory holds tokens of in turn within each "
        "round, more than it holds by themselves.",
    ),
    "revocation": Measure(
        revocation,
        "Somebody new each time, whom everyone asked has answered from memory. SQLite: a server "
        "with two workers, both of which are asked once as soon as the change is made, while "
        "others keep asking; a session ends by a sign-out at one of them, the rest is written by "
        "another process. MongoDB: two nodes over a replica set of one; from the moment that the "
        "write of one is acknowledged until the first refusal by the other, asked without a pause. "
        "That no memory older than a second answers while the stream is cut (a primary that steps "
        "down or freezes, a stream or an event loop that stands still) is no figure: "
        "`tests/faults/test_feed_lost.py` shows it.",
    ),
    "start-up": Measure(start_up, "From the start of the process to a 200 from `/healthz`."),
    "memory": Measure(
        memory,
        "RSS counts pages that the two processes share twice, PSS once. Growth is that of a "
        "process whose gate refuses bad tokens (garbage, forged signatures, unknown keys, sessions "
        "that never were) and then lets users in.",
    ),
    PEERS: Measure(
        peers,
        "Each is a server of its own. CPU on one core: checks 32 at a time, sign-ins one at a "
        "time; sign-ins a second 32 at a time on all cores. The checks of the others read the "
        "user from the database each time; that is how they learn of a change.",
    ),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print as it goes."""
    given = _parser().parse_args(arguments)
    for name in [name for name in os.environ if name.startswith("GATELODGE_")]:
        del os.environ[name]  # settings that could change what is measured
    names = given.only or [name for name in MEASURES if name != PEERS]
    machine = facts()
    print(heading(machine), flush=True)
    sizes = QUICK if given.quick else FULL
    measured = dict(_measure(names, sizes, machine))
    if given.write:
        write_page(given.write, measured)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="see that it works; few requests")
    parser.add_argument("--only", nargs="+", choices=MEASURES, metavar="NAME", help=_NAMES)
    parser.add_argument(
        "--write", type=Path, metavar="DOCS", help="write performance.md and its pictures there"
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
        return f"python -m bench --quick --only {name}"  # says of itself that it means nothing
    return "make bench-peers" if name == PEERS else "make bench"


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


if __name__ == "__main__":
    main()
