"""Two answers for a second factor reach two workers in the same instant.

A code, a recovery code, a question and a passkey's answer work once. Whoever is first: nothing is
left half done, and what was ended stays ended.
"""

import base64
import json
from dataclasses import dataclass, replace
from typing import Any

import pytest

from gatelodge.accounts.store import User
from gatelodge.credentials.factors import (
    FACTOR_PREFIX,
    Factor,
    FactorId,
    FactorKind,
    Factors,
    adding,
    is_remembered,
    of_kind,
)
from gatelodge.credentials.recovery_codes import digest_of_code, new_recovery_codes
from gatelodge.credentials.totp import code_of, new_secret, step_at
from gatelodge.ids import SessionId, new_id
from gatelodge.methods import BY_PASSWORD, Methods
from gatelodge.testing import SoftwareAuthenticator
from tests.faults.pairs import (
    Ask,
    Pair,
    Race,
    change_password,
    run_races,
    sign_out,
)
from tests.gate.houses import Device, new_device
from tests.support.factors import FACTORS, PASSKEY, RECOVERY, TOTP

BY_BOTH: Methods = ("pwd", "otp", "mfa")


@dataclass
class Owner:
    """Somebody with an authenticator app and recovery codes.

    Attributes:
        device: where they are signed in by two factors.
        secret: the secret of the app.
        codes: the recovery codes.
    """

    device: Device
    secret: bytes
    codes: list[str]

    @property
    def user(self) -> User:
        """The user."""
        return self.device.user


async def with_app(pair: Pair, *roles: str) -> Owner:
    """Return a new user with an authenticator app, whose present code is not used yet."""
    user = (await pair.device(*roles)).user
    secret, codes = new_secret(), new_recovery_codes()
    digests = tuple(digest_of_code(each) for each in codes)
    app = replace(a_factor(pair, "totp"), sealed_secret=b"")
    app = replace(app, sealed_secret=pair.house.second_factors.seal(app.id, secret))
    unused = replace(a_factor(pair, "recovery_codes"), digests=digests)
    factors = await pair.house.stores.factors.change(user.id, adding(app, limit=1, codes=unused))
    assert factors is not None
    device = await new_device(pair.house, replace(user, factors=factors), methods=BY_BOTH)
    return Owner(device, secret, codes)


def a_factor(pair: Pair, kind: FactorKind) -> Factor:
    """Return a new factor of a kind."""
    now = pair.house.clock.now()
    return Factor(FactorId(new_id(FACTOR_PREFIX, now)), kind, "", now)


def code_now(pair: Pair, secret: bytes) -> str:
    """Return the code that an app shows now."""
    return code_of(secret, step_at(pair.house.clock.now()))


async def asked(pair: Pair, owner: Owner, in_place_of: SessionId | None = None) -> str:
    """Return the question for the second factor, after a right password."""
    question = await pair.house.challenges.ask(
        owner.user, BY_PASSWORD, "bearer", in_place_of=in_place_of
    )
    return question.id


def answer(path: str, challenge: str, **proof: object) -> Ask:
    """Return the request that answers a question."""
    return Ask("POST", path, {}, {"challenge": challenge, **proof})


async def factors_of(pair: Pair, user: User) -> Factors:
    """Return the factors as stored."""
    found = await pair.house.stores.users.find(user.id)
    assert found is not None
    return found.factors


async def left_of(pair: Pair, owner: Owner) -> int:
    """Return how many recovery codes are left."""
    return sum(
        len(each.digests) for each in of_kind(await factors_of(pair, owner.user), "recovery_codes")
    )


async def sessions_of(pair: Pair, user: User) -> int:
    """Return how many sessions a user has ever had."""
    return len(await pair.house.stores.sessions.list_stored(user.id, limit=10))


async def sent(pair: Pair, method: str, path: str, of: Device, body: object = None) -> Any:
    """Send one request to some worker, and return the answer."""
    worker = pair.workers[0]
    assert await worker.request(method, path, of.headers, body) == 200, worker.body
    return json.loads(worker.body)


def loser_of(asks: tuple[Ask, Ask], statuses: tuple[int, int]) -> object:
    """Return the refusal of the one that was not let in; exactly one was."""
    assert [each == 200 for each in statuses].count(True) == 1, statuses
    return asks[statuses.index(max(statuses))].answer["code"]


async def one_code_at_two_doors(pair: Pair) -> None:
    """A code of an app, to sign in and to prove again who one is."""
    ann = await with_app(pair)
    before = await sessions_of(pair, ann.user)
    code = code_now(pair, ann.secret)
    doors = (
        answer(TOTP, await asked(pair, ann), code=code),
        answer(TOTP, await asked(pair, ann, ann.device.session.id), code=code),
    )
    statuses = await pair.together(*doors)
    assert loser_of(doors, statuses) == "factor_code_wrong"
    assert await sessions_of(pair, ann.user) == before + 1


async def one_recovery_code_at_two_doors(pair: Pair) -> None:
    ann = await with_app(pair)
    before = await sessions_of(pair, ann.user)
    doors = (
        answer(RECOVERY, await asked(pair, ann), code=ann.codes[3]),
        answer(RECOVERY, await asked(pair, ann), code=ann.codes[3]),
    )
    statuses = await pair.together(*doors)
    assert loser_of(doors, statuses) == "factor_code_wrong"
    assert await left_of(pair, ann) == 9
    assert await sessions_of(pair, ann.user) == before + 1


async def one_question_answered_twice(pair: Pair) -> None:
    """By a code of the app, and by a recovery code: one session is opened."""
    ann = await with_app(pair)
    before = await sessions_of(pair, ann.user)
    question = await asked(pair, ann)
    answers = (
        answer(TOTP, question, code=code_now(pair, ann.secret)),
        answer(RECOVERY, question, code=ann.codes[0]),
    )
    statuses = await pair.together(*answers)
    assert loser_of(answers, statuses) == "challenge_over"
    assert await sessions_of(pair, ann.user) == before + 1
    winner = answers[statuses.index(200)]
    assert await pair.is_admitted(winner.answer["accessToken"])
    assert await left_of(pair, ann) in ({9} if winner is answers[1] else {9, 10})


async def one_answer_of_a_passkey_twice(pair: Pair) -> None:
    ann = await pair.device()
    authenticator = SoftwareAuthenticator(pair.house.settings.public_origin)
    begun = await sent(pair, "POST", f"{FACTORS}/passkey/options", ann)
    made = authenticator.create(begun["publicKey"])
    body = {"challenge": begun["challenge"], "credential": made, "name": ""}
    await sent(pair, "POST", f"{FACTORS}/passkey", ann, body)
    before = await sessions_of(pair, ann.user)

    question = await sent(pair, "POST", f"{PASSKEY}/options", ann, {})
    signed = authenticator.get(question["publicKey"])
    replays = (
        answer(PASSKEY, question["challenge"], credential=signed),
        answer(PASSKEY, question["challenge"], credential=signed),
    )
    statuses = await pair.together(*replays)
    assert loser_of(replays, statuses) == "passkey_invalid"
    assert await sessions_of(pair, ann.user) == before + 1


async def removals_of_two(pair: Pair, ann: Owner) -> tuple[Ask, Ask]:
    """Return the removals of both apps of somebody, who gets a second one."""
    await pair.house.stores.factors.change(ann.user.id, adding(a_factor(pair, "totp"), limit=2))
    apps = of_kind(await factors_of(pair, ann.user), "totp")
    first, second = (Ask("DELETE", f"{FACTORS}/{each.id}", ann.device.headers) for each in apps)
    return first, second


async def both_factors_are_removed(pair: Pair) -> None:
    """From two sides: nothing stays that only stood in for them."""
    ann = await with_app(pair)
    removals = await removals_of_two(pair, ann)
    assert await pair.together(*removals) == (200, 200)
    assert await factors_of(pair, ann.user) == ()


async def both_are_removed_where_one_must_stay(pair: Pair) -> None:
    """From two sides: exactly one goes, and the recovery codes stay."""
    ann = await with_app(pair, "moderator")
    removals = await removals_of_two(pair, ann)
    assert loser_of(removals, await pair.together(*removals)) == "last_second_factor"
    kinds = sorted(each.kind for each in await factors_of(pair, ann.user))
    assert kinds == ["recovery_codes", "totp"]


async def one_factor_is_removed_twice(pair: Pair) -> None:
    ann = await with_app(pair)
    app = of_kind(ann.user.factors, "totp")[0]
    removals = (
        Ask("DELETE", f"{FACTORS}/{app.id}", ann.device.headers),
        Ask("DELETE", f"{FACTORS}/{app.id}", ann.device.headers),
    )
    assert loser_of(removals, await pair.together(*removals)) == "factor_not_found"
    assert await factors_of(pair, ann.user) == ()


async def an_app_is_added_beside_a_sign_out_everywhere(pair: Pair) -> None:
    """No session of before lives on, nor that of the app; and no app is without recovery codes."""
    ann = await pair.device()
    other = await new_device(pair.house, ann.user)
    begun = await sent(pair, "POST", f"{FACTORS}/totp", ann)
    secret = base64.b32decode(begun["secret"])
    code = code_now(pair, secret)
    body = {"enrolment": begun["enrolment"], "code": code, "name": "Phone"}
    enrol = Ask("POST", f"{FACTORS}/totp/confirm", ann.headers, body)

    statuses = await pair.together(enrol, sign_out(other, everywhere=True))

    assert statuses in {(200, 200), (401, 200)}
    kinds = [each.kind for each in await factors_of(pair, ann.user)]
    assert kinds in ([["totp", "recovery_codes"]] + ([[]] if statuses[0] == 401 else []))
    tokens = [ann.token, other.token]
    tokens += [enrol.answer["accessToken"]] if statuses[0] == 200 else []
    assert not any([await pair.is_admitted(token) for token in tokens])


async def a_browser_is_remembered_beside_a_change_of_the_password(pair: Pair) -> None:
    """Whoever is first: the second factor is asked for in every browser of before."""
    ann = await with_app(pair)
    code = code_now(pair, ann.secret)
    entry = answer(TOTP, await asked(pair, ann), code=code, remember=True)

    statuses = await pair.together(entry, change_password(ann.device))

    assert statuses in {(200, 200), (401, 200)}
    user = await pair.house.stores.users.find(ann.user.id)
    assert user is not None
    now = pair.house.clock.now()
    browsers = of_kind(user.factors, "browser")
    assert not any(is_remembered(each, user.epoch, now) for each in browsers)
    if statuses[0] == 200:
        assert not await pair.is_admitted(entry.answer["accessToken"])


async def new_recovery_codes_beside_the_use_of_an_old_one(pair: Pair) -> None:
    """The new ones are all there, and the old ones are void."""
    ann = await with_app(pair)
    renewal = Ask("POST", f"{FACTORS}/recovery-codes", ann.device.headers)
    use = answer(RECOVERY, await asked(pair, ann), code=ann.codes[0])
    statuses = await pair.together(renewal, use)
    assert statuses in {(200, 200), (200, 400)}
    codes = of_kind(await factors_of(pair, ann.user), "recovery_codes")
    assert [each.digests for each in codes] == [
        tuple(digest_of_code(each) for each in renewal.answer["codes"])
    ]


RACES: list[Race] = [
    one_code_at_two_doors,
    one_recovery_code_at_two_doors,
    one_question_answered_twice,
    one_answer_of_a_passkey_twice,
    both_factors_are_removed,
    both_are_removed_where_one_must_stay,
    one_factor_is_removed_twice,
    an_app_is_added_beside_a_sign_out_everywhere,
    a_browser_is_remembered_beside_a_change_of_the_password,
    new_recovery_codes_beside_the_use_of_an_old_one,
]


async def test_whoever_is_first_a_proof_works_once(
    pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    await run_races(pair, RACES, capsys)
