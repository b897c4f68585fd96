"""How many people can sign in per second, compared with what the hash alone allows."""

from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.hashing import DEFAULT_THREADS, hash_time, hashes_per_second
from bench.load import Load, run
from bench.people import let_in, sign_in
from bench.process import CORES
from bench.report import Row, spread
from bench.server import Gatelodge, Server
from bench.sizes import Sizes

AT_A_TIME = 32


@dataclass(frozen=True, slots=True)
class _Round:
    """The figures of one round.

    Attributes:
        sign_ins: sign-ins per second through the server.
        ideal: hashing threads ÷ seconds of one hash.
        hashes: hashes per second of as many threads that do nothing else.
        share: the part of the server's CPU time that its hashing threads took, from 0 to 1.
    """

    sign_ins: float
    ideal: float
    hashes: float
    share: float


def measure(sizes: Sizes, folder: Path) -> list[Row]:
    """Return the sign-ins with the default number of hashing threads, and with one per core."""
    cores = len(CORES)
    default = _rounds(sizes, folder / "default", DEFAULT_THREADS)
    all_cores = _rounds(sizes, folder / "cores", cores, hash_threads=str(cores))
    return [
        *_rows("sign-ins", DEFAULT_THREADS, default),
        *_rows("sign-ins, a thread per core", cores, all_cores, _NO_CORE_LEFT),
    ]


_NO_CORE_LEFT = "; the load and the rest of the server need the cores of the hashing threads too"


def _rounds(sizes: Sizes, folder: Path, threads: int, **settings: str) -> list[_Round]:
    with Gatelodge(folder, **settings) as server:
        let_in(server, 2)
        return [_round(sizes, server, threads) for _ in range(sizes.rounds)]


def _round(sizes: Sizes, server: Server, threads: int) -> _Round:
    before = hash_time(sizes.hashes).wall
    hashes = hashes_per_second(threads, sizes.hashes * threads)
    began = server.cpu()
    crowd = [sign_in(0), sign_in(1)]
    storm = run(Load(server.port, crowd, AT_A_TIME, seconds=sizes.storm_seconds))
    spent = server.cpu() - began
    one = (before + hash_time(sizes.hashes).wall) / 2
    return _Round(storm.rate_after(AT_A_TIME), threads / one, hashes, spent.hashing / spent.total)


def _rows(name: str, threads: int, rounds: list[_Round], why: str = "") -> list[Row]:
    rates = [each.sign_ins for each in rounds]
    of_ideal = [100 * each.sign_ins / each.ideal for each in rounds]
    share = [100 * each.share for each in rounds]
    of_hashes = [100 * each.sign_ins / each.hashes for each in rounds]
    ideal = median(each.ideal for each in rounds)
    return [
        Row(name, median(rates), "/s", f"{AT_A_TIME} at a time; {spread(rates, 1)}"),
        Row(
            f"{name}, of the ideal",
            median(of_ideal),
            "%",
            f"{threads} ÷ time of one hash = {ideal:.1f}/s{why}; {spread(of_ideal, 1)}",
        ),
        Row(
            f"{name}, of bare threads",
            median(of_hashes),
            "%",
            f"compared with as many threads that only hash; {spread(of_hashes, 1)}",
        ),
        Row(
            f"{name}, CPU that hashes",
            median(share),
            "%",
            f"of the server's CPU time; {spread(share, 1)}",
        ),
    ]
