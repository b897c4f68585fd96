"""The JSON routes for signing keys. Private keys are never shown."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from gatelodge.admin.doors import ByProved
from gatelodge.admin.keys import KeyAdministration, KeyState, Retired, SeenKey
from gatelodge.admin.rules import MANAGE_KEYS
from gatelodge.credentials.refusals import ReauthenticationRequired
from gatelodge.tokens.refusals import NoSuchKey
from gatelodge.web.bodies import Answer
from gatelodge.web.described import Description
from gatelodge.web.door import Door
from gatelodge.web.services import Provided

door = Door("/api/admin/keys", tag="admin")

Service = Annotated[KeyAdministration, Provided(KeyAdministration)]


class KeyShown(Answer):
    """A signing key."""

    id: str = Field(description="The `kid` of its tokens.")
    algorithm: str
    state: KeyState = Field(
        description="`published`: it does not sign yet. `signing`: it signs. `retired`: it signs "
        "no more, and still verifies. `gone`: it verifies nothing any more."
    )
    created_at: datetime
    signs_from: datetime
    signs_until: datetime | None = None
    verifies_until: datetime | None = None


class KeysAnswer(Answer):
    """The keys, the newest first."""

    items: list[KeyShown]


class RotatedAnswer(Answer):
    """The next key."""

    key: KeyShown
    made: bool = Field(description="False: it was published before, and does not sign yet.")


class RetiredAnswer(Answer):
    """What became of a key that was retired, and of its tokens."""

    key: KeyShown
    was: KeyState = Field(description="Its state before.")
    signs_now: str | None = Field(default=None, description="The id of the key that signs now.")
    tokens_ended_from: datetime | None = Field(
        default=None,
        description="Access tokens that the key signed since then are invalid; null: there are "
        "none.",
    )
    tokens_ended_until: datetime | None = Field(
        default=None, description="Until when it signed them."
    )
    message: str


_ID = "key_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gg"
_KEY = {
    "id": _ID,
    "algorithm": "EdDSA",
    "state": "signing",
    "createdAt": "2026-01-31T12:00:00Z",
    "signsFrom": "2026-01-31T12:05:05Z",
    "signsUntil": None,
    "verifiesUntil": None,
}
_GONE = {
    "state": "gone",
    "signsUntil": "2026-02-28T12:00:00Z",
    "verifiesUntil": "2026-02-28T12:00:00Z",
}
_ENDED = (
    "The key signs and verifies nothing any more. The access tokens that it signed are invalid: "
    "programs and browsers get new ones with their refresh tokens."
)
_NOTHING_ENDED = "The key signs and verifies nothing any more. No valid token was signed by it."


@door.get(
    "",
    rule=MANAGE_KEYS,
    told=Description("List signing keys", gives={"items": [_KEY]}),
)
async def list_keys(service: Service) -> KeysAnswer:
    """List the signing keys, the newest first; of those that are gone, the newest 20."""
    return KeysAnswer(items=[_shown(each) for each in await service.list_keys()])


@door.post(
    "/rotate",
    rule=MANAGE_KEYS,
    told=Description(
        "Publish the next signing key",
        gives={"key": _KEY | {"state": "published"}, "made": True},
    ),
    refuses=(ReauthenticationRequired,),
)
async def rotate(by: ByProved, service: Service) -> RotatedAnswer:
    """Publish the next signing key. It signs five minutes later, when all caches know it.

    No token becomes invalid. If a published key does not sign yet, the answer is that key.
    """
    key, made = await service.rotate(by)
    return RotatedAnswer(key=_shown(key), made=made)


@door.post(
    "/{key_id}/retire",
    rule=MANAGE_KEYS,
    told=Description(
        "Drop a signing key that leaked",
        gives={
            "key": _KEY | _GONE,
            "was": "signing",
            "signsNow": "key_06f4h2k9c0q1v8d3n5b7t2m4s6r8p0a1e3gh",
            "tokensEndedFrom": "2026-02-28T11:50:00Z",
            "tokensEndedUntil": "2026-02-28T12:00:00Z",
            "message": _ENDED,
        },
    ),
    refuses=(ReauthenticationRequired, NoSuchKey),
)
async def retire(key_id: str, by: ByProved, service: Service) -> RetiredAnswer:
    """Drop a signing key at once, because its private key leaked.

    The access tokens that it signed are invalid from now on, the caller's own too. Nobody is signed
    out: sessions go on, and refresh tokens give new access tokens. If the key signs now, a new one
    takes its place at once. Services that verify tokens themselves may accept those of the dropped
    key for 5 minutes more, until they read `/.well-known/jwks.json` again.
    """
    return _retired(await service.retire(key_id, by))


def _shown(seen: SeenKey) -> KeyShown:
    key = seen.key
    return KeyShown(
        id=key.kid,
        algorithm=key.algorithm,
        state=seen.state,
        created_at=key.created_at,
        signs_from=key.not_before,
        signs_until=key.retires_at,
        verifies_until=key.gone_at,
    )


def _retired(retired: Retired) -> RetiredAnswer:
    return RetiredAnswer(
        key=_shown(SeenKey(retired.key, "gone")),
        was=retired.was,
        signs_now=retired.signs_now.kid if retired.signs_now else None,
        tokens_ended_from=retired.ends_from,
        tokens_ended_until=retired.ends_until,
        message=_ENDED if retired.ends_from else _NOTHING_ENDED,
    )
