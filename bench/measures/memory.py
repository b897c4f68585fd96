"""How much memory the server uses, with one worker."""

import json
import subprocess
import sys
from pathlib import Path

from bench import ROOT
from bench.load import Load, run
from bench.people import board, let_in, sign_in
from bench.process import Memory
from bench.report import Row
from bench.seed import seed
from bench.server import Gatelodge
from bench.sizes import Sizes
from gatelodge.settings import Settings

_MIB = 1024 * 1024
_AT_A_TIME = 32


def measure(sizes: Sizes, folder: Path) -> list[Row]:
    """Return the memory after the start and after a load, and what tokens and users add."""
    return [*_of_server(sizes, folder / "server"), *_of_crowd(sizes, folder / "crowd")]


def _of_server(sizes: Sizes, folder: Path) -> list[Row]:
    with Gatelodge(folder) as server:
        fresh = server.memory()
        token, *_ = let_in(server, 2)
        crowd = [sign_in(0), sign_in(1)]
        run(Load(server.port, crowd, _AT_A_TIME, seconds=sizes.storm_seconds))
        run(Load(server.port, [board(token)], _AT_A_TIME, sizes.boards))
        return [*_rows("after the start", fresh), *_rows("after a load", server.memory())]


def _of_crowd(sizes: Sizes, folder: Path) -> list[Row]:
    """Return how a process grows when its gate sees more than it can remember."""
    seed(Settings(data_dir=folder, database=""), sizes.seen, sizes.seen)
    done = subprocess.run(
        [sys.executable, "-m", "bench.crowd", str(folder), str(sizes.bad_tokens)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    grown = json.loads(done.stdout)
    bad = f"{sizes.bad_tokens:,} different tokens refused in {grown['bad_seconds']:.0f} s"
    seen = f"after that, {sizes.seen:,} users let in, each with their own session"
    return [
        Row("growth by bad tokens", grown["bad"] / _MIB, "MiB", f"RSS; {bad}"),
        Row("growth by users seen", grown["people"] / _MIB, "MiB", f"RSS; {seen}"),
        Row("growth by both", (grown["bad"] + grown["people"]) / _MIB, "MiB", "RSS"),
    ]


def _rows(when: str, processes: list[Memory]) -> list[Row]:
    rss, pss = ([getattr(each, kind) / _MIB for each in processes] for kind in ("rss", "pss"))
    return [
        Row(f"RSS {when}", sum(rss), "MiB", f"main and worker: {_each(rss)}"),
        Row(f"PSS {when}", sum(pss), "MiB", f"main and worker: {_each(pss)}"),
    ]


def _each(mebibytes: list[float]) -> str:
    return " + ".join(f"{each:.1f}" for each in mebibytes)
