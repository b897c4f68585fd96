"""The benchmark runs from end to end. Its figures here mean nothing: the machine is not idle."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench import ROOT
from bench.measures.lists import user_queries
from bench.measures.walks import differences
from bench.page import FIGURES, PAGE, Measured, page, pictures, read_figures, write_page
from bench.report import Row, table
from bench.targets import TARGETS
from tests.support.mongod import find_mongod

DOCS = ROOT / "docs"
GUARDS = ("an empty dependency", "HTTPBearer of FastAPI", "CurrentUser", "require(role=...)")
GROWING = ("token check", "rotation", "sign-in without its hash")
ENDED = ("role taken", "session ended", "user disabled", "user deleted", "password changed")
CHECKS = (
    "limit, bare",
    "token check",
    "token check, cookie",
    "token check, forward-auth",
    "token check, FastAPI alone",
    "token check, database read",
)
ROWS = {
    "checks": [
        "limit",
        *CHECKS,
        *(f"{name} / limit" for name in CHECKS),
        "database reads of 1,000 warm checks",
    ],
    "cpu": [
        "one hash",
        "sign-up",
        "sign-up, hashing threads",
        "sign-up, the rest",
        "sign-in",
        "sign-in, hashing threads",
        "sign-in, the rest",
    ],
    "factors": [
        f"{way}{part}"
        for way in ("plain sign-in", "sign-in by password and app", "sign-in by passkey")
        for part in ("", ", hashing threads", ", the rest")
    ],
    "connections": [
        "board alone, p99",
        "board beside slow connections, p99",
        "slow connections, the last one cut",
        "slow connections, memory",
    ],
    "rotation": [
        "rotation",
        "rotation, a second",
        "fsync",
        "rotation, MongoDB",
        "rotation, MongoDB, a second",
        "rotation, MongoDB, mongod",
    ],
    "sign-ins": [
        "sign-ins",
        "sign-ins, of the ideal",
        "sign-ins, of bare threads",
        "sign-ins, CPU that hashes",
        "sign-ins, a thread per core",
        "sign-ins, a thread per core, of the ideal",
        "sign-ins, a thread per core, of bare threads",
        "sign-ins, a thread per core, CPU that hashes",
    ],
    "latency": [
        f"{what}, {figure}"
        for what, figures in (
            ("board", ("p50", "p99")),
            ("board beside 64 waiting sign-ins", ("p50", "p99", "p50 ratio", "p99 ratio")),
            ("board beside 200 sign-ins", ("p50", "p99", "p50 ratio", "p99 ratio")),
            ("sign-in refused among 200", ("p50", "p99")),
        )
        for figure in figures
    ],
    "growth": [
        *(f"{what}, {size} users" for what in GROWING for size in ("100", "1,000")),
        *(f"{what}, growth" for what in GROWING),
        *(f"token check, {number} sessions in turn" for number in (10, 20, 40, 100)),
        "first check of a token",
        "limit beside sessions in turn",
        "token check, sessions in turn / limit",
        "token check, sessions in turn, ratio",
        "memory of tokens in turn",
    ],
    "revocation": [
        "refused at once, SQLite, two workers",
        *(f"{what}, {figure}" for what in ENDED for figure in ("p50", "p99", "maximum")),
    ],
    "embedded": [
        "application, no guard",
        *(
            f"application, {guard}{figure}"
            for guard in GUARDS
            for figure in ("", ", beyond no guard")
        ),
    ],
    "watch": [
        "refused at once, application, two workers",
        *(
            f"WebSocket closed, {where}, {figure}"
            for where in ("two workers", "another node")
            for figure in ("p50", "p99")
        ),
    ],
    "start-up": ["start-up", "start-up, first"],
    "breached": [
        *(f"breached list, {what}" for what in ("import", "memory", "file")),
        *("breached look-up, p50", "breached look-up, p99", "breached look-ups missed"),
    ],
    "letters": [
        f"letters{what}, {store}"
        for store in ("SQLite", "MongoDB")
        for what in ("", ", memory", ", stop")
    ],
    "lists": [
        *(
            f"{name}{what}, {store}"
            for store in ("SQLite", "MongoDB")
            for name in user_queries()
            for what in ("", ", counted")
        ),
        *(
            f"{name}, {store}"
            for store in ("SQLite", "MongoDB")
            for name in (
                *(f"page 5 {order}" for order in ("created", "username", "last_sign_in", "a")),
                *("how many users", "new users of 30 days"),
                *("slowest list, median", "slowest list, p99"),
                *("events newest", "events of a user", "events from an address"),
                *("events of a kind", "events on a day", "events of a kind, from an address"),
                *("events of a kind that never happens, by a user", "events, page 5"),
                *("API, all lists, median", "API, all lists, p99"),
            )
        ),
        *(
            f"token check {name}, {store}"
            for store in ("SQLite", "MongoDB", "MongoDB on a core of its own")
            for name in (
                *("alone, p99", "beside lists, p99", "beside lists, p99 ratio"),
                "beside lists of another process, p99",
            )
        ),
    ],
    "walks": [
        f"{name}, {store}"
        for store in ("SQLite", "MongoDB")
        for name in (
            "users who came or went",
            "pages walked meanwhile",
            "users in these lists who stayed",
            "of them missed, met twice or in another order",
        )
    ],
    "timing": [
        f"{pair}, {store}"
        for pair in (
            "unknown, wrong password",
            "unknown, disabled",
            "unknown and blocked, known and blocked",
            "setup: nobody, user",
            "setup: nobody, administrator",
            "unknown, not yet rehashed",
            "control without dummy hash and grid",
        )
        for store in ("SQLite",)
    ],
    "letters-timing": [
        f"{pair}, {store}"
        for pair in (
            "forgotten password: unknown, known",
            "letter sent again: unknown, known",
            "sign-up: new address, known address",
            "control that waits for the mail server",
        )
        for store in ("SQLite",)
    ],
    "memory": [
        "RSS after the start",
        "PSS after the start",
        "RSS after a load",
        "PSS after a load",
        "growth by bad tokens",
        "growth by users seen",
        "growth by both",
    ],
}
NEED_MONGOD = {"lists", "rotation", "walks", "watch", "revocation", "timing"}


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the benchmark as `make bench` does."""
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


SOME = {"cpu", "letters", "start-up"}
MEASURED = [name for name in ROWS if os.environ.get("GATELODGE_BENCH") or name in SOME]
"""The measurements that are tried. Each starts servers of its own, and all of them take a sixth of
the suite's time, so some stand for all of them: `GATELODGE_BENCH=1 pytest tests/test_bench.py`
tries each, and is to be run where `bench/` changes."""


@pytest.mark.parametrize("name", MEASURED)
def test_every_measurement_reports_its_rows_and_writes_them_down(name: str, tmp_path: Path) -> None:
    if name in NEED_MONGOD and find_mongod() is None:
        pytest.skip("no mongod")

    done = bench("--quick", "--only", name, "--write", str(tmp_path))

    assert done.returncode == 0, done.stderr
    found = read_figures(tmp_path / "performance" / FIGURES)[name]
    assert sorted(row.name for row in found.rows) == sorted(ROWS[name])
    assert all(row.value >= 0 for row in found.rows)
    assert all(row.name in done.stdout for row in found.rows)
    assert found.machine["python"] in done.stdout
    assert all(f"| {row.name} |" in (tmp_path / PAGE).read_text() for row in found.rows)


def test_a_measurement_that_does_not_exist_is_refused_with_the_names_that_do() -> None:
    done = bench("--only", "nothing")

    assert done.returncode == 2
    assert all(name in done.stderr for name in ROWS)


def test_each_target_is_held_against_a_row_that_the_benchmark_reports() -> None:
    rows = {row for names in ROWS.values() for row in names}

    assert {target.row for target in TARGETS} <= rows


def test_the_page_says_what_was_kept_and_what_was_missed(tmp_path: Path) -> None:
    write_page(
        tmp_path,
        {"checks": measured("token check / limit", 1.1), "rotation": measured("rotation", 700)},
    )

    text = (tmp_path / PAGE).read_text()
    assert "| ≤ 1.25 × | 1.10 unit | kept |" in text
    assert "| ≤ 600 µs | 700 unit | **missed** |" in text
    assert "700 unit instead of ≤ 600 µs" in text


def test_a_later_run_of_one_part_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    write_page(
        tmp_path, {"checks": measured("token check", 50), "rotation": measured("rotation", 700)}
    )
    write_page(tmp_path, {"rotation": measured("rotation", 500)})

    found = read_figures(tmp_path / "performance" / FIGURES)
    assert [found[name].rows[0].value for name in ("checks", "rotation")] == [50, 500]


def test_the_page_and_the_pictures_in_the_docs_are_those_of_the_figures_beside_them() -> None:
    figures = read_figures(DOCS / "performance" / FIGURES)

    assert (DOCS / PAGE).read_text() == page(figures)
    for name, picture in pictures(figures).items():
        assert (DOCS / "performance" / name).read_text() == picture
        assert ET.fromstring(picture).tag.endswith("svg")


def test_the_table_is_aligned_and_shows_three_digits_that_mean_something() -> None:
    rows = [Row("one", 1234, "µs", "seen once"), Row("another", 1.25, "×")]

    assert table("Figures", rows).splitlines() == [
        "Figures",
        "  one      1,234 µs  seen once",
        "  another   1.25 ×",
    ]


def measured(row: str, value: float) -> Measured:
    """Return a measurement with one row."""
    return Measured(
        "Something",
        "somehow",
        "make bench",
        "2030-01-01",
        {"system": "one"},
        [Row(row, value, "unit")],
    )


@pytest.mark.parametrize(
    ("busy", "wrong"),
    [("abc", 0), ("axbyc", 0), ("ac", 1), ("abbc", 1), ("acb", 2), ("", 3)],
    ids=["the same", "others pass by", "missed", "met twice", "another order", "nobody"],
)
def test_a_walk_is_compared_with_the_one_before(busy: str, wrong: int) -> None:
    assert differences([*"abc"], [*busy]) == wrong
