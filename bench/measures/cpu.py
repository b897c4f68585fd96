"""What a sign-up and a sign-in cost.

The cost is the CPU time of all processes of the server, divided by the number of requests. The time
by the clock would say less: other users of a rented machine change it.
"""

from dataclasses import dataclass
from pathlib import Path

from bench.hashing import hash_time
from bench.load import Load, run
from bench.people import let_in, sign_in, sign_up
from bench.process import LOAD_CORE, SERVER_CORE, Cpu, this_thread_on
from bench.report import Row, cost_row
from bench.server import Gatelodge, Server
from bench.sizes import Sizes


@dataclass(frozen=True, slots=True)
class _Round:
    """CPU seconds for one request, all measured within a few seconds."""

    hash: float
    sign_up: Cpu
    sign_in: Cpu


def measure(sizes: Sizes, folder: Path) -> list[Row]:
    """Return the cost of a sign-up and of a sign-in."""
    with Gatelodge(folder) as server:
        server.pin({SERVER_CORE})
        let_in(server, 1)
        bench = _Bench(sizes, server)
        bench.round(0)  # a warm-up, not measured
        return _rows([bench.round(number) for number in range(1, sizes.rounds + 1)])


@dataclass(frozen=True, slots=True)
class _Bench:
    sizes: Sizes
    server: Server

    def round(self, number: int) -> _Round:
        """Measure everything once, with people who have not signed up yet."""
        first = 1 + number * self.sizes.sign_ups
        people = range(first, first + self.sizes.sign_ups)
        with this_thread_on(SERVER_CORE):
            alone = hash_time(self.sizes.hashes).cpu
        return _Round(
            hash=alone,
            sign_up=_cpu_each(self.server, [sign_up(one) for one in people], len(people)),
            sign_in=_cpu_each(self.server, [sign_in(one) for one in people], len(people)),
        )


def _cpu_each(server: Server, requests: list[str], count: int) -> Cpu:
    before = server.cpu()
    run(Load(server.port, requests, 1, count), cores={LOAD_CORE})
    return (server.cpu() - before) / count


def _rows(rounds: list[_Round]) -> list[Row]:
    return [
        cost_row("one hash", [each.hash for each in rounds], "by itself"),
        *rows_with_hash("sign-up", [each.sign_up for each in rounds]),
        *rows_with_hash("sign-in", [each.sign_in for each in rounds]),
    ]


def rows_with_hash(name: str, rounds: list[Cpu]) -> list[Row]:
    """Return the rows of what costs a hash: all of it, the hashing threads, and the rest."""
    return [
        cost_row(name, [each.total for each in rounds], "one at a time"),
        cost_row(f"{name}, hashing threads", [each.hashing for each in rounds]),
        cost_row(f"{name}, the rest", [each.rest for each in rounds]),
    ]
