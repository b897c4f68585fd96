"""How much of everything a run does."""

from dataclasses import dataclass

from gatelodge.gate.principal import MAX_TOKENS


@dataclass(frozen=True, slots=True)
class Sizes:
    """The numbers of a run.

    Attributes:
        rounds: of each measurement; the median of them is reported.
        starts: of the server on an existing folder.
        first_starts: of the server on an empty one.
        hashes: by themselves, in each round.
        sign_ups: in each round, and as many sign-ins.
        boards: requests that a load of token checks consists of.
        check_rounds: short rounds in which kinds of token checks take turns.
        checks: requests of each kind in one of these.
        rotations: of refresh tokens, in each round.
        storm_seconds: how long 32 at a time sign in, in each round.
        calm_seconds: how long the waits of board requests are noted, in each round.
        users: in the small and in the large database.
        sessions: that live in them.
        in_turn: sessions of the large one that take turns: few, more, as many as memory holds
            tokens of, and more than it holds.
        checks_in_turn: by those sessions, in each round.
        bad_tokens: different ones that the gate refuses.
        seen: users that the gate lets in.
        revocations: of each kind that another node must hear of.
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
    in_turn=(10, 1_000, MAX_TOKENS, 100_000),
    checks_in_turn=10_000,
    bad_tokens=1_000_000,
    seen=200_000,
    revocations=200,
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
)
