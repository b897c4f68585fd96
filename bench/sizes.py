"""How many rounds, requests and users a run has."""

from dataclasses import dataclass

from gatelodge.gate.memory import MAX_TOKENS


@dataclass(frozen=True, slots=True)
class Sizes:
    """The numbers of a run.

    Attributes:
        rounds: how many rounds a measurement has; their median is reported.
        starts: how often the server is started on existing data.
        first_starts: how often the server is started on an empty folder.
        hashes: how many hashes are measured alone, in each round.
        sign_ups: how many people sign up, in each round; as many sign in.
        boards: how many requests a load of token checks has.
        check_rounds: how many short rounds there are in which kinds of token checks take turns.
        checks: how many requests of each kind such a round has.
        rotations: how many refresh tokens are traded, in each round.
        storm_seconds: how long 32 people at a time sign in, in each round.
        calm_seconds: how long the waits of board requests are measured, in each round.
        users: how many users the small and the large database have.
        sessions: how many live sessions they have.
        in_turn: how many sessions of the large database take turns; at last as many as memory
            holds tokens.
        checks_in_turn: how many requests these sessions send, in each round.
        bad_tokens: how many different tokens the gate refuses.
        seen: how many users the gate lets in.
        revocations: how many changes of each kind other processes must hear of.
        sign_outs: how many sign-outs the workers of an application must hear of.
        pairs: how many answers of two kinds are compared.
        failures: after how many failed sign-ins the name that is blocked was blocked.
        connections: how many slow and idle connections are open at a time.
        breached: how many lines a list of breached passwords has.
        look_ups: how many passwords are looked up in it.
        databases: on which databases the time of answers is measured.
        letters: how many letters wait to be sent.
        letter_seconds: how long their sending is measured.
        town: how many users and events the SQLite file has in which lists are asked for.
        mongodb_town: the same for MongoDB.
        list_rounds: how often each list is asked for.
        list_pages: how many pages are before the one that lies deep in a list.
        walked_town: how many users and events a database has in which lists are walked through.
        passers_rate: how many users come or go in a second meanwhile.
    """

    rounds: int
    starts: int
    first_starts: int
    hashes: int
    sign_ups: int
    boards: int
    check_rounds: int
    checks: int
    rotations: int
    storm_seconds: float
    calm_seconds: float
    users: tuple[int, int]
    sessions: tuple[int, int]
    in_turn: tuple[int, int, int, int]
    checks_in_turn: int
    bad_tokens: int
    seen: int
    revocations: int
    sign_outs: int
    pairs: int
    failures: int
    connections: int
    breached: int
    look_ups: int
    databases: tuple[str, ...]
    letters: int
    letter_seconds: int
    town: tuple[int, int]
    mongodb_town: tuple[int, int]
    list_rounds: int
    list_pages: int
    walked_town: tuple[int, int]
    passers_rate: int


FULL = Sizes(
    rounds=5,
    starts=5,
    first_starts=3,
    hashes=15,
    sign_ups=40,
    boards=1500,
    check_rounds=60,
    checks=500,
    rotations=3000,
    storm_seconds=2.5,
    calm_seconds=3.0,
    users=(1_000, 1_000_000),
    sessions=(10, 100_000),
    in_turn=(10, 1_000, 10_000, MAX_TOKENS),
    checks_in_turn=10_000,
    bad_tokens=1_000_000,
    seen=200_000,
    revocations=200,
    sign_outs=1_000,
    pairs=1_000,
    failures=100,
    connections=9_500,
    breached=20_000_000,
    look_ups=100_000,
    databases=("SQLite", "MongoDB"),
    letters=1_000_000,
    letter_seconds=20,
    town=(1_000_000, 5_000_000),
    mongodb_town=(200_000, 1_000_000),
    list_rounds=30,
    list_pages=1_000,
    walked_town=(20_000, 20_000),
    passers_rate=1_000,
)
QUICK = Sizes(
    rounds=1,
    starts=1,
    first_starts=1,
    hashes=2,
    sign_ups=2,
    boards=40,
    check_rounds=2,
    checks=40,
    rotations=64,
    storm_seconds=0.6,
    calm_seconds=0.2,
    users=(100, 1_000),
    sessions=(10, 100),
    in_turn=(10, 20, 40, 100),
    checks_in_turn=40,
    bad_tokens=1_000,
    seen=100,
    revocations=5,
    sign_outs=5,
    pairs=2,
    failures=5,
    connections=50,
    breached=2_000,
    look_ups=200,
    databases=("SQLite",),
    letters=2_000,
    letter_seconds=2,
    town=(2_000, 2_000),
    mongodb_town=(2_000, 2_000),
    list_rounds=2,
    list_pages=5,
    walked_town=(1_000, 1_000),
    passers_rate=200,
)
