"""The pages of signing keys: which sign and verify, the next one, and one that leaked."""

from starlette.responses import Response

from gatelodge.admin.doors import page, proved
from gatelodge.admin.keys import KeyAdministration
from gatelodge.admin.rules import MANAGE_KEYS
from gatelodge.marks import N_
from gatelodge.pages.door import PageDoor, Visit
from gatelodge.pages.forms import Field

door = PageDoor()

KEYS = "/admin/keys"
ROTATE = f"{KEYS}/rotate"
RETIRE = f"{KEYS}/retire"

_KEY = Field("key", missing=N_("Choose a key."))


@door.get(KEYS, rule=MANAGE_KEYS)
async def show_keys(visit: Visit) -> Response:
    """List the keys, the newest first."""
    service = visit.ask(KeyAdministration)
    return page(
        visit,
        "keys.html",
        keys=await service.list_keys(),
        life=service.keys.signing_key_life,
    )


@door.get(ROTATE, rule=MANAGE_KEYS)
async def show_rotate(visit: Visit) -> Response:
    """Ask whether to publish the next key. Whoever signed in a while ago proves first."""
    await proved(visit)
    keys = await visit.ask(KeyAdministration).list_keys()
    return page(visit, "key-rotate.html", waits=any(each.state == "published" for each in keys))


@door.post(ROTATE, rule=MANAGE_KEYS, again=show_rotate)
async def rotate(visit: Visit) -> Response:
    """Publish the next key."""
    _, made = await visit.ask(KeyAdministration).rotate(await proved(visit))
    return visit.go(KEYS, done="key-made" if made else "key-waits")


@door.get(RETIRE, rule=MANAGE_KEYS, answers=404)
async def show_retire(visit: Visit) -> Response:
    """Ask whether to drop a key, and say what that makes invalid."""
    await proved(visit)
    asked = visit.form.values.get("key") or visit.request.query_params.get("key", "")
    seen = await visit.ask(KeyAdministration).get(asked)
    return page(visit, "key-retire.html", seen=seen)


@door.post(RETIRE, rule=MANAGE_KEYS, fields=(_KEY,), again=show_retire, answers=404)
async def retire(visit: Visit) -> Response:
    """Drop a key that leaked."""
    await visit.ask(KeyAdministration).retire(visit.form["key"], await proved(visit))
    return visit.go(KEYS, done="key-retired")
