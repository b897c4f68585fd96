"""Measure how a process grows while its gate sees a million bad tokens, and then many users.

`python -m bench.crowd FOLDER BAD` prints as JSON how many bytes each of the two added. Another
process has written the database in FOLDER. If this process wrote it, the memory that it frees
afterwards would hide its growth.
"""

import asyncio
import base64
import gc
import json
import os
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from bench.process import memory_of
from bench.seed import issue, people
from gatelodge.app import House, build
from gatelodge.logs import set_up_logs
from gatelodge.settings import Settings
from gatelodge.tokens.refusals import InvalidToken

_BREATH = 1000  # tokens until the event loop runs once, as it does between requests


async def meet(house: House, bad: int) -> dict[str, float]:
    """Return how many bytes the bad tokens add, and how many the good tokens of all users."""
    async with house.serve():
        somebody = next(people(house))
        await _refuse(house, _BREATH, somebody)
        await _let_in(house, iter([somebody]))
        began, before = time.perf_counter(), _resident()
        await _refuse(house, bad, somebody)
        refused_in, after_bad = time.perf_counter() - began, _resident()
        await _let_in(house, people(house))
        return {
            "bad": after_bad - before,
            "people": _resident() - after_bad,
            "bad_seconds": refused_in,
        }


async def _refuse(house: House, count: int, somebody: tuple[str, str]) -> None:
    """Present `count` different tokens to the gate, all of them bad."""
    real = issue(house, somebody)
    for number in range(count):
        with suppress(InvalidToken):
            await house.gate.authenticate(_bad(house, real, number))
            raise RuntimeError("a bad token was good")
        if number % _BREATH == 0:
            await asyncio.sleep(0)


def _bad(house: House, real: str, number: int) -> str:
    """Return a bad token.

    Of a hundred, one is of a user who does not exist, five are forged, five name an unknown key,
    and the others are garbage.
    """
    header, _, rest = real.partition(".")
    kind = number % 100
    if kind == 0:
        return issue(house, (f"ses_{number}", f"usr_{number}"))
    if kind < 6:
        return f"{header}.{_encode({'jti': number})}.{rest.rpartition('.')[2]}"
    if kind < 11:
        named = {"alg": "EdDSA", "typ": "at+jwt", "kid": f"key_{number}"}
        return f"{_encode(named)}.{rest}"
    return secrets.token_urlsafe(200) if kind % 2 else f"{header}.{number}.{rest[-86:]}"


async def _let_in(house: House, everybody: Iterator[tuple[str, str]]) -> None:
    for number, session_and_user in enumerate(everybody):
        await house.gate.authenticate(issue(house, session_and_user))
        if number % _BREATH == 0:
            await asyncio.sleep(0)


def _encode(value: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _resident() -> int:
    gc.collect()
    return memory_of(os.getpid()).rss


def _main(folder: Path, bad: int) -> None:
    set_up_logs("warning")
    settings = Settings(data_dir=folder, database="")
    print(json.dumps(asyncio.run(meet(build(settings), bad))))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]))
