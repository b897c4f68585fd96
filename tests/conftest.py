"""How a run of the tests goes, and the fixtures that every kind of test uses."""

import gc
import os
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from gatelodge.app import House, build, create_app
from gatelodge.data_folder import DATABASE
from gatelodge.settings import Settings
from gatelodge.stores import Stores, open_stores
from tests.support import figures, run, vectors
from tests.support.clock import FakeClock
from tests.support.databases import migrated, with_collections
from tests.support.kept import keep
from tests.support.mailbox import Mailbox, set_mail
from tests.support.mongod import close_observers, empty_mongodb, new_mongodb, shared_replica_set
from tests.support.server import Server
from tests.support.settings import hashing_cheaply

MOST_WORKERS = 8

LONGEST_FIRST = (
    "test_docs.py",
    "contracts/test_events_with_changes.py",
    "contracts/test_mongo_failures.py",
    "cli",
    "routes",
    "testing",
    "browser",
    "examples",
    "model",
    "faults",
    "embedded",
    "contracts",
    "api",
)
"""What takes longest, so that no worker is left with it when all others have finished."""


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Open the run, in the process that was started first.

    A shell that starts it in the background has it ignore Ctrl-C. The commands would do so too.

    The folders of tests are in memory, if there is room: SQLite waits for a disk at each write.
    They are removed at the end of the run; whoever wants to look at them names a `--basetemp`.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):
        run.begin()
        config.option.basetemp = config.option.basetemp or run.quick_folder() / "tests"


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the run, and what it started."""
    if not hasattr(config, "workerinput"):
        run.finish()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return how many processes `-n auto` spreads the tests over; none for tests that were named.

    Tests wait as much as they compute, so that two more than there are cores are of use.
    """
    if all("::" in argument for argument in config.args):
        return 0
    return min(len(os.sched_getaffinity(0)) + 2, MOST_WORKERS)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give a case of schemathesis an id of its own: under pytest 9.2 its name is not in it."""
    label = getattr(item, "operation_label", None)
    if label is not None and label not in item.nodeid:
        item._id = item._id.with_params(label)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse ids that two tests share, and put the files in a good order.

    Of two tests with one id, `pytest-xdist` would run one, and say nothing.

    The longest files come first, and those last that want the machine alone: before one of them can
    begin, all workers have to finish what they do. In the middle of a run each would cost as much
    time as the longest test that happens to run then.
    """
    shared = [each for each, times in Counter(item.nodeid for item in items).items() if times > 1]
    if shared:
        raise pytest.UsageError(f"several tests share one id: {', '.join(shared)}")
    tests = Counter(item.path for item in items)
    places = {path: _place(path) for path in tests}
    items.sort(
        key=lambda item: (
            item.get_closest_marker("alone") is not None,
            places[item.path],
            -tests[item.path],
            item.path,
        )
    )


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Have the garbage collector leave alone what is collected: it lives as long as the process.

    To look through half a million objects takes a quarter of a second, each time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def _place(path: Path) -> int:
    """Return the place of a file of tests in `LONGEST_FIRST`, or the one after it."""
    here = Path(__file__).parent
    places = (at for at, each in enumerate(LONGEST_FIRST) if path.is_relative_to(here / each))
    return next(places, len(LONGEST_FIRST))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let a test that is marked `alone` have the machine for itself."""
    with run.machine(alone=item.get_closest_marker("alone") is not None):
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def _kept() -> Iterator[None]:
    """Compile each template and each statement once, not once for each test."""
    with pytest.MonkeyPatch.context() as patch:
        keep(patch)
        yield


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that the test sets."""
    return FakeClock()


@pytest.fixture
def settings(tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    """Return settings with the data in a folder of the test's own, and those that it names."""
    given = getattr(request, "param", {})
    return hashing_cheaply(Settings(data_dir=tmp_path, **given), request)


@pytest.fixture
async def house(settings: Settings, clock: FakeClock) -> AsyncIterator[House]:
    """Return the whole house over a real SQLite file, without doors."""
    migrated(settings.data_dir / DATABASE)
    async with build(settings, clock).serve() as built:
        yield built


@pytest.fixture
def mailbox() -> Mailbox:
    """Return an empty mailbox."""
    return Mailbox()


@pytest.fixture
async def posting_house(
    settings: Settings, clock: FakeClock, mailbox: Mailbox
) -> AsyncIterator[House]:
    """Return a house, as `house` does, whose letters go into a mailbox when a test says so."""
    migrated(settings.data_dir / DATABASE)
    built = build(settings, clock)
    set_mail(built, mailbox)
    async with built.open():
        yield built


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    """Return a client that speaks to the real application in this process."""
    transport = httpx2.ASGITransport(app=create_app(house), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:8080") as client:
        yield client


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Return the real server in a process of its own, over SQLite."""
    with Server(tmp_path) as running:
        yield running


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end of a run whether the vectors that others publish ran; print figures."""
    vectors.summarize(terminalreporter)
    figures.summarize(terminalreporter)


@pytest.fixture(scope="session")
def mongodb_url(pytestconfig: pytest.Config) -> Iterator[str]:
    """Yield the address, without a database name, of a replica set that all tests share.

    From now on nobody warns of an open socket to it. When a client is closed, or a call is
    cancelled, while the driver connects, the driver never closes the new socket, and the garbage
    collector finds it at any time, in the middle of another test.
    """
    url = shared_replica_set()
    for port in re.findall(r":(\d+)", urlsplit(url).netloc.rpartition("@")[2]):
        lost = rf"ignore:unclosed <socket.*raddr=\('[^']*', {port}\):ResourceWarning"
        pytestconfig.addinivalue_line("filterwarnings", lost)
    yield url
    close_observers()


@pytest.fixture(params=["sqlite", "mongodb"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of a database that has its tables, and nothing in them.

    On MongoDB it is one for all tests of this process, emptied each time: to make a new one takes
    twenty times as long. A test after which a write may still arrive uses `mongodb_address`.
    """
    if request.param == "sqlite":
        return str(migrated(tmp_path / "gatelodge.sqlite3"))
    return str(request.getfixturevalue("emptied_mongodb"))


@pytest.fixture(params=["sqlite", "mongodb"])
def database(request: pytest.FixtureRequest) -> str:
    """Return the setting for a database of each kind; empty: a file in the data folder."""
    return "" if request.param == "sqlite" else request.getfixturevalue("emptied_mongodb")


@pytest.fixture(scope="session")
def kept_mongodb(mongodb_url: str) -> Iterator[str]:
    """Yield the address of a MongoDB database that has its collections and indexes."""
    with new_mongodb(mongodb_url) as address:
        yield with_collections(address)


@pytest.fixture
def emptied_mongodb(kept_mongodb: str) -> Iterator[str]:
    """Yield the same, and empty it afterwards."""
    yield kept_mongodb
    empty_mongodb(kept_mongodb)


@pytest.fixture(scope="module")
def own_mongodb(mongodb_url: str) -> Iterator[str]:
    """Yield the address of a database for one file, with its collections and indexes.

    Its clients bear a name of their own, so that faults can be theirs alone.
    """
    with new_mongodb(mongodb_url) as address:
        yield with_collections(address)


@pytest.fixture
def mongodb_address(mongodb_url: str) -> Iterator[str]:
    """Yield the address of an empty MongoDB database, which is dropped afterwards.

    Its clients bear a name of their own, so that faults can be theirs alone.
    """
    with new_mongodb(mongodb_url) as address:
        yield address


@pytest.fixture
async def stores(address: str) -> AsyncIterator[Stores]:
    """Yield the stores over an empty database, ready for use."""
    stores = open_stores(address)
    await stores.database.start()
    yield stores
    await stores.database.stop()


@pytest.fixture
def lost_sockets() -> Iterator[None]:
    """Let the garbage collector close the driver's lost sockets before the test ends.

    See `mongodb_url`. A test that makes this happen with a server of its own uses this fixture
    first, and ignores the `ResourceWarning`.
    """
    yield
    gc.collect()
