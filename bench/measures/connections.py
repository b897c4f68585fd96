"""How long an honest request waits beside thousands of slow and idle connections."""

import subprocess
import sys
import time
from pathlib import Path
from statistics import quantiles

from bench import ROOT
from bench.load import Load, Outcome, run
from bench.people import board, let_in
from bench.report import Row
from bench.server import Gatelodge
from bench.sizes import Sizes

PAUSE_SECONDS = 0.002
SETTLE_SECONDS = 2.0
"""After the connections are open: their first bytes are answered."""

PATIENCE_SECONDS = 90.0
_MIB = 1024 * 1024


def measure(sizes: Sizes, folder: Path) -> list[Row]:
    """Return the waits alone and beside the connections, the memory, and when all were cut."""
    with Gatelodge(folder) as server:
        token, *_ = let_in(server, 1)
        boards = Load(server.port, [board(token)], seconds=sizes.calm_seconds, pause=PAUSE_SECONDS)
        run(boards)  # a warm-up
        alone, memory, files = run(boards), _pss(server), _files(server)
        wasting = subprocess.Popen(
            [sys.executable, "-m", "bench.idlers", str(server.port), str(sizes.connections)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        with wasting:
            assert wasting.stdout is not None
            if wasting.stdout.readline().strip() != "open":
                raise RuntimeError("the connections could not be opened")
            opened_at = time.monotonic()
            time.sleep(SETTLE_SECONDS)
            held = _files(server) - files
            beside, grown = run(boards), (_pss(server) - memory) / _MIB
            left = _wait_until_cut(server, files)
            cut_after = time.monotonic() - opened_at
            wasting.kill()
    return _rows(sizes, (alone, beside), held, grown, (cut_after, left))


def _wait_until_cut(server: Gatelodge, files: int) -> int:
    """Wait until the server has no more open files than before; return how many more it has."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (left := _files(server) - files) > 0 and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def _rows(
    sizes: Sizes, waits: tuple[Outcome, Outcome], held: int, grown: float, cut: tuple[float, int]
) -> list[Row]:
    alone, beside = waits
    crowd = f"{held:,} of {sizes.connections:,} were open when it began"
    never = f"{max(cut[1], 0):,} are still open"
    return [
        Row("board alone, p99", 1000 * _p99(alone), "ms", f"{len(alone.waits):,} requests"),
        Row(
            "board beside slow connections, p99",
            1000 * _p99(beside),
            "ms",
            f"{len(beside.waits):,} requests; {crowd}",
        ),
        Row("slow connections, the last one cut", cut[0], "s", never),
        Row("slow connections, memory", grown, "MiB", "PSS of all processes"),
    ]


def _p99(outcome: Outcome) -> float:
    return quantiles(outcome.waits, n=100)[98]


def _files(server: Gatelodge) -> int:
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in server.pids)


def _pss(server: Gatelodge) -> int:
    return sum(each.pss for each in server.memory())
