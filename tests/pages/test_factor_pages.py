"""The pages of one's own second factors, in a browser without JavaScript."""

import base64
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from gatelodge.accounts.store import User
from gatelodge.app import House
from gatelodge.credentials.factors import Factor, FactorId, adding, of_kind
from gatelodge.credentials.own_proof import FRESH
from gatelodge.credentials.second_factor_policy import SecondFactorPolicy
from gatelodge.credentials.totp import code_of, step_at
from gatelodge.data_folder import DATABASE
from gatelodge.factors.service import ENROL_LIFE, MAX_OF_KIND
from gatelodge.methods import BY_CODE_OF_FACTOR, BY_PASSWORD, with_second_factor
from gatelodge.pages.wording import NOTICES
from gatelodge.settings import Settings
from tests.pages.reader import Page, Reader, text_of
from tests.pages.test_again import AGAIN, LATER, session_of
from tests.pages.test_walk import another_browser
from tests.support.clock import FakeClock
from tests.support.databases import migrated
from tests.support.factors import App
from tests.support.people import PASSWORD, let_in, sign_in_browser

APPS = "/account/authenticator"
NEW = f"{APPS}/new"
CODES = "/account/recovery-codes"
RENAME, REMOVE = "/account/factors/rename", "/account/factors/remove"
FORGET = "/account/browsers/forget"
SECOND = "/sign-in/second"
STEP = timedelta(seconds=30)
BY_BOTH = with_second_factor(BY_PASSWORD, BY_CODE_OF_FACTOR)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0"


def key_of(page: Page) -> bytes:
    """Return the secret that a page asks to type into an app."""
    typed = text_of(page.one(".//code[@class='key']"))
    assert [len(group) for group in typed.split()] == [4] * 8
    return base64.b32decode(typed.replace(" ", ""))


def codes_of(page: Page) -> list[str]:
    """Return the recovery codes that a page shows."""
    return [text_of(each) for each in page.tree.iterfind(".//ol[@class='codes']//code")]


def line_of(page: Page, title: str) -> str:
    """Return the text of the line of the account page with this title."""
    lines = [
        each
        for each in page.tree.iterfind(".//*[@class='line']")
        if title in [text_of(heading) for heading in each.iterfind(".//h3")]
    ]
    (line,) = lines
    return text_of(line)


async def factors_of(house: House, name: str = "ann") -> tuple[Factor, ...]:
    """Return the stored factors of somebody."""
    return (await house.accounts.get_by_username(name)).factors


async def add_app(reader: Reader, house: House, clock: FakeClock, name: str = "Phone") -> App:
    """Add an app on the pages. Its next code is one step later, which is now."""
    secret = key_of(await reader.open(NEW))
    page = await reader.send(NEW, code=code_of(secret, step_at(clock.now())), name=name)
    app = of_kind(await factors_of(house), "totp")[-1]
    assert (page.status, app.name) == (200, name)
    clock.advance(STEP)
    return App(app.id, secret, codes_of(page))


async def prove(reader: Reader, page: Page, code: str = "") -> Page:
    """Prove on the page that asks who one is, with a code where one is asked for."""
    assert page.path == AGAIN
    page = await reader.send(AGAIN, **page.form(AGAIN) | {"password": PASSWORD})
    if not code:
        return page
    assert page.path == SECOND
    return await reader.send(SECOND, **page.form(SECOND) | {"code": code})


# Authenticator apps


async def test_the_first_app_is_added_and_brings_recovery_codes(
    reader: Reader, house: House, ann: User, clock: FakeClock
) -> None:
    account = await reader.open("/account")
    assert "Off. Adds a six-digit code" in line_of(account, "Authenticator app")
    assert "Recovery codes" not in account.text
    before = await session_of(house, ann)
    assert NEW in (await reader.open(APPS)).links

    page = await reader.open(NEW)
    secret = key_of(page)
    assert (
        text_of(page.one(".//*[@role='img']/{http://www.w3.org/2000/svg}title"))
        == "QR code for your authenticator app"
    )
    added = await reader.send(
        NEW, **page.form(NEW) | {"code": code_of(secret, step_at(clock.now())), "name": " Phone "}
    )

    assert (added.status, added.notice) == (200, NOTICES["app-added"])
    assert added.response.headers["cache-control"] == "no-store"
    assert len(set(codes_of(added))) == 10
    assert "/account" in added.links
    account = await reader.open("/account")
    assert "On: Phone" in line_of(account, "Authenticator app")
    assert "10 of 10 left." in line_of(account, "Recovery codes")
    (session,) = await house.sessions.list_own(ann, before=None, limit=9)
    assert session.id != before
    assert session.methods == ("pwd", "otp", "mfa")
    listed = await reader.open(APPS)
    assert "added just now · last used just now" in listed.text


async def test_the_recovery_codes_are_shown_once_and_work(
    reader: Reader, house: House, ann: User, clock: FakeClock
) -> None:
    """No address and no cookie has them, and no other page. The form sent again shows the list."""
    assert ann
    secret = key_of(await reader.open(NEW))
    form = {"code": code_of(secret, step_at(clock.now())), "name": ""}
    answer = await reader.post(NEW, form)
    codes = codes_of(Page(answer))
    kept = f"{answer.url} {answer.headers}"
    assert not any(code in kept or code.replace("-", "") in kept for code in codes)

    again = await reader.send(NEW, **form)

    assert (again.path, codes_of(again)) == (APPS, [])
    assert len(of_kind(await factors_of(house), "totp")) == 1
    await reader.send("/sign-out")
    await reader.fill_in("/sign-in", username="ann", password=PASSWORD)
    asked = await reader.open(f"{SECOND}?method=recovery_code")
    await reader.send(SECOND, **asked.form(SECOND) | {"code": codes[3].lower()})
    assert "9 of 10 left." in line_of(await reader.open("/account"), "Recovery codes")


@pytest.mark.usefixtures("ann")
async def test_a_reload_and_a_wrong_code_show_the_same_secret(reader: Reader) -> None:
    """What was typed is there again, but for the code."""
    secret = key_of(await reader.open(NEW))
    assert key_of(await reader.open(NEW)) == secret

    for code, problem in (("", "Enter the code."), ("12345", "That code is not right")):
        wrong = await reader.send(NEW, code=code, name="Phone")
        assert wrong.problem("code").startswith(problem)
        assert wrong.form(NEW) == {"code": "", "name": "Phone"}
        assert wrong.focused == "code"
        assert key_of(wrong) == secret
    long = await reader.send(NEW, code="12345", name="x" * 101)
    assert long.problem("name")


@pytest.mark.usefixtures("ann")
async def test_the_secret_is_in_no_address_and_its_text_goes_to_its_page_only(
    reader: Reader,
) -> None:
    answer = await reader.ask(NEW)
    (cookie,) = [
        line
        for line in answer.headers.get_list("set-cookie")
        if line.startswith("gatelodge-enrolment=")
    ]
    assert f"; Path={NEW};" in cookie
    assert "HttpOnly" in cookie
    text = cookie.partition(";")[0].partition("=")[2]
    assert len(text) > 30
    assert text not in answer.text
    key = base64.b32encode(key_of(Page(answer))).decode()
    assert key not in str(answer.headers)
    assert key not in (await reader.open(APPS)).response.text


@pytest.mark.usefixtures("ann")
async def test_a_secret_that_waited_too_long_is_replaced_and_the_page_says_so(
    reader: Reader, clock: FakeClock
) -> None:
    secret = key_of(await reader.open(NEW))
    clock.advance(ENROL_LIFE)
    page = await prove(reader, await reader.open(NEW))
    assert (page.path, page.notice) == (NEW, NOTICES["new-secret"])
    assert key_of(page) != secret
    again = await reader.open(NEW)
    assert (key_of(again), again.notice) == (key_of(page), "")


async def test_the_last_secret_counts_that_was_asked_for(
    reader: Reader, house: House, ann: User, clock: FakeClock
) -> None:
    """A form with the code of an older one leads to a new one, and on to where it was going."""
    secret = key_of(await reader.open(f"{NEW}?next=/boards/user"))
    phone = another_browser(house)
    await let_in(phone.client, house, ann)
    assert key_of(await phone.open(NEW)) != secret
    code = code_of(secret, step_at(clock.now()))

    page = await reader.send(NEW, code=code, name="", next="/boards/user")

    assert (page.path, page.notice) == (NEW, NOTICES["new-secret"])
    assert page.form(NEW)["next"] == "/boards/user"
    assert await factors_of(house) == ()


@pytest.mark.usefixtures("ann")
async def test_a_code_that_is_typed_late_asks_for_a_proof_first(
    reader: Reader, house: House, clock: FakeClock
) -> None:
    """The secret and the name are there again, and where the reader was going."""
    secret = key_of(await reader.open(NEW))
    clock.advance(LATER)
    code = code_of(secret, step_at(clock.now()))
    asked = await reader.send(NEW, code=code, name="Phone", next="/boards/user")
    page = await prove(reader, asked)

    assert (page.path, page.notice) == (NEW, NOTICES["send-again"])
    assert page.form(NEW) == {"code": "", "name": "Phone", "next": "/boards/user"}
    assert key_of(page) == secret
    added = await reader.send(NEW, **page.form(NEW) | {"code": code})
    assert "/boards/user" in added.links
    assert len(await factors_of(house)) == 2


@pytest.mark.usefixtures("ann")
async def test_another_app_brings_no_codes(reader: Reader, house: House, clock: FakeClock) -> None:
    await add_app(reader, house, clock)
    secret = key_of(await reader.open(NEW))
    code = code_of(secret, step_at(clock.now()))
    page = await reader.send(NEW, code=code, name="Tablet")
    assert (page.path, page.notice) == (APPS, NOTICES["app-added"])
    assert "On: Phone, Tablet" in line_of(await reader.open("/account"), "Authenticator app")
    secret = key_of(await reader.open(NEW))
    code = code_of(secret, step_at(clock.now()))
    assert (await reader.send(NEW, code=code, next="/boards/user")).path == "/boards/user"


async def test_ten_apps_are_enough(reader: Reader, house: House, ann: User) -> None:
    for number in range(MAX_OF_KIND):
        app = Factor(FactorId(f"fac_{number}"), "totp", f"App {number}", ann.created_at)
        await house.stores.factors.change(ann.id, adding(app, limit=MAX_OF_KIND))
    await let_in(reader.client, house, ann, BY_BOTH)
    page = await reader.open(APPS)
    assert NEW not in page.links
    assert "You have ten of these already." in page.text
    refused = await reader.open(NEW)
    assert (refused.status, refused.path) == (409, NEW)
    assert "You have ten of these already." in refused.text


async def test_a_remembered_browser_cannot_add_an_app(
    reader: Reader, house: House, ann: User, clock: FakeClock
) -> None:
    """The password opens its session; what protects the account asks for both factors."""
    app = await add_app(reader, house, clock)
    reader.client.cookies.clear()
    await let_in(reader.client, house, ann)
    for path in (NEW, CODES, f"{REMOVE}?factor={app.id}"):
        assert (await reader.open(path)).path == AGAIN
    page = await prove(reader, await reader.open(NEW), app.code(clock))
    assert page.path == NEW
    assert key_of(page) != app.secret
    assert "You need a second step" not in page.text


# Recovery codes


@pytest.mark.usefixtures("ann")
async def test_a_refused_code_is_not_shown_again(
    reader: Reader, house: House, clock: FakeClock
) -> None:
    """It may work later: after too many wrong ones, codes are refused that nobody has looked at."""
    app = await add_app(reader, house, clock)
    await reader.send("/sign-out")
    await reader.fill_in("/sign-in", username="ann", password=PASSWORD)
    form = {"method": "recovery_code"}
    statuses = [(await reader.send(SECOND, **form, code=f"WRONG-{n}")).status for n in range(6)]
    assert statuses == [400] * 5 + [429]

    for code in (app.codes[0], app.codes[0].replace("-", "")):
        refused = await reader.send(SECOND, **form, code=code)
        assert refused.status == 429
        assert code not in refused.response.text
        assert refused.form(SECOND)["method"] == "recovery_code"


@pytest.mark.usefixtures("ann")
async def test_new_recovery_codes_void_the_old(
    reader: Reader, house: House, clock: FakeClock
) -> None:
    app = await add_app(reader, house, clock)
    page = await reader.open(CODES)
    assert "10 of 10 left. The old codes stop working at once." in page.text

    made = await reader.send(CODES, **page.form(CODES))

    assert (made.heading, made.notice) == ("Keep your recovery codes", NOTICES["codes-made"])
    assert len(codes_of(made)) == 10
    assert not set(codes_of(made)) & set(app.codes)
    await reader.send("/sign-out")
    await reader.fill_in("/sign-in", username="ann", password=PASSWORD)
    form = {"method": "recovery_code"}
    old = await reader.send(SECOND, **form, code=app.codes[0])
    assert old.problem("code")
    assert (await reader.send(SECOND, **form, code=codes_of(made)[0])).path == "/"


@pytest.mark.usefixtures("ann")
async def test_who_has_no_second_factor_has_no_recovery_codes(reader: Reader) -> None:
    for page in (await reader.open(CODES), await reader.send(CODES)):
        assert page.status == 409
        assert "Add an authenticator app or a passkey first." in page.text


@pytest.mark.usefixtures("ann")
async def test_new_codes_ask_for_a_proof_and_lead_back(
    reader: Reader, house: House, clock: FakeClock
) -> None:
    app = await add_app(reader, house, clock)
    clock.advance(FRESH + STEP)
    asked = await reader.send(CODES)
    page = await prove(reader, asked, app.code(clock))
    assert (page.path, page.notice) == (CODES, NOTICES["send-again"])
    assert len(codes_of(await reader.send(CODES))) == 10


# Naming and removing


@pytest.mark.usefixtures("ann")
async def test_an_app_gets_another_name(reader: Reader, house: House, clock: FakeClock) -> None:
    app = await add_app(reader, house, clock)
    page = await reader.open(f"{RENAME}?factor={app.id}")
    assert page.form(RENAME) == {"factor": app.id, "name": "Phone"}
    wrong = await reader.send(RENAME, factor=app.id, name="x" * 101)
    assert wrong.problem("name")
    assert wrong.form(RENAME)["factor"] == app.id
    saved = await reader.send(RENAME, factor=app.id, name=" <b>Tablet ")
    assert (saved.path, saved.notice) == (APPS, NOTICES["factor-renamed"])
    assert "<b>Tablet" in saved.text
    assert f"{RENAME}?factor={app.id}" in saved.links


@pytest.mark.usefixtures("ann")
async def test_the_last_app_takes_codes_and_browsers_with_it(
    reader: Reader, house: House, clock: FakeClock
) -> None:
    """The page says so before."""
    phone, tablet = [await add_app(reader, house, clock, name) for name in ("Phone", "Tablet")]
    page = await reader.open(f"{REMOVE}?factor={tablet.id}")
    assert page.heading == "Remove “Tablet”?"
    assert "What else you have stays as it is." in page.text
    assert "recovery codes" not in page.text
    removed = await reader.send(REMOVE, **page.form(REMOVE))
    assert (removed.path, removed.notice) == (APPS, NOTICES["app-removed"])
    assert "Tablet" not in removed.text

    last = await reader.open(f"{REMOVE}?factor={phone.id}")
    assert "your password alone signs you in" in last.text
    assert "your recovery codes" in last.text
    assert "browsers" not in last.text
    await _remember(house, phone, clock)
    with_browser = await reader.open(f"{REMOVE}?factor={phone.id}")
    assert "the list of browsers that are not asked for a code" in with_browser.text
    assert (await reader.send(REMOVE, factor=phone.id)).notice == NOTICES["app-removed"]
    assert await factors_of(house) == ()
    twice = await reader.send(REMOVE, factor=phone.id)
    assert (twice.path, twice.notice) == ("/account", "")


async def _remember(house: House, app: App, clock: FakeClock) -> Reader:
    """Sign Ann in with Firefox, and have it remembered."""
    firefox = another_browser(house, **{"User-Agent": FIREFOX})
    await firefox.fill_in("/sign-in", username="ann", password=PASSWORD)
    page = await firefox.open(SECOND)
    form = page.form(SECOND) | {"code": app.code(clock), "remember": "yes"}
    assert (await firefox.send(SECOND, **form)).path == "/"
    return firefox


async def test_nobody_touches_the_factors_of_others(
    reader: Reader, house: House, ann: User, clock: FakeClock
) -> None:
    """The pages do not tell either whether somebody else has such a factor."""
    app = await add_app(reader, house, clock)
    bob = another_browser(house)
    await sign_in_browser(bob.client, house, "bob")
    for path in (RENAME, REMOVE):
        for factor in (app.id, "fac_x", ""):
            page = await bob.open(f"{path}?factor={factor}")
            assert (page.status, "That was removed already." in page.text) == (404, True)
    assert (await bob.post(RENAME, {"factor": app.id, "name": "Mine"})).status_code == 404
    for path in (REMOVE, FORGET):
        assert (await bob.send(path, factor=app.id)).path == "/account"
    (kept, _) = await factors_of(house)
    assert (kept.id, kept.name, ann.username) == (app.id, "Phone", "ann")


@pytest.fixture
async def strict_house(settings: Settings, clock: FakeClock) -> AsyncIterator[House]:
    """Return a house in which everybody must have a second factor."""
    migrated(settings.data_dir / DATABASE)
    policy = SecondFactorPolicy("required")
    async with House(settings, clock).replaced(second_factor_policy=policy).made().serve() as house:
        yield house


async def test_the_last_factor_of_whoever_must_have_one_stays(
    strict_house: House, clock: FakeClock
) -> None:
    reader = another_browser(strict_house)
    await sign_in_browser(reader.client, strict_house, "ann")
    due = await reader.open(NEW)
    assert "You need a second step for your sign-ins here." in due.text
    assert "/account/passkeys" in due.links
    app = await add_app(reader, strict_house, clock)
    page = await reader.open(f"{REMOVE}?factor={app.id}")
    assert "You need a second factor here. Add another one before" in page.text
    assert page.tree.findall(f".//form[@action='{REMOVE}']") == []
    sent = await reader.send(REMOVE, factor=app.id)
    assert sent.status == 409
    assert "You need a second factor here." in sent.text
    assert len(await factors_of(strict_house)) == 2


async def test_what_is_switched_off_is_not_shown(settings: Settings, clock: FakeClock) -> None:
    migrated(settings.data_dir / DATABASE)
    switched_off = SecondFactorPolicy("off")
    house = House(settings, clock).replaced(second_factor_policy=switched_off).made()
    async with house.serve():
        reader = another_browser(house)
        await sign_in_browser(reader.client, house, "ann")
        account = await reader.open("/account")
        assert not {APPS, "/account/passkeys"} & set(account.links)
        assert "Authenticator app" not in account.text
        assert NEW not in (await reader.open(APPS)).links


# Remembered browsers


async def test_remembered_browsers_are_named_and_forgotten(
    reader: Reader, house: House, ann: User, clock: FakeClock
) -> None:
    app = await add_app(reader, house, clock)
    assert "not asked for a code" not in (await reader.open("/account")).text
    firefox = await _remember(house, app, clock)
    clock.advance(timedelta(minutes=3))
    here = await reader.open("/account")
    there = await firefox.open("/account")
    until = (clock.now() + timedelta(days=30)).day
    for page in (here, there):
        assert "Browsers that are not asked for a code" in page.text
        assert f"remembered 3 minutes ago · until {until} Jun 2026" in page.text
    assert "This browser" in there.text
    assert "This browser" not in here.text
    await firefox.send("/sign-out")
    assert (await _sign_in(firefox)).path == "/"

    forgotten = await reader.send(FORGET, **here.form(FORGET))

    assert (forgotten.path, forgotten.notice) == ("/account", NOTICES["browser-forgotten"])
    assert "not asked for a code" not in forgotten.text
    await firefox.send("/sign-out")
    assert (await _sign_in(firefox)).path == SECOND
    assert (await reader.send(FORGET, **here.form(FORGET))).notice == ""


async def _sign_in(reader: Reader) -> Page:
    return await reader.fill_in("/sign-in", username="ann", password=PASSWORD)


@pytest.mark.usefixtures("ann")
async def test_only_browsers_are_forgotten(reader: Reader, house: House, clock: FakeClock) -> None:
    """That asks for no proof, so nothing else may go this way."""
    app = await add_app(reader, house, clock)
    page = await reader.send(FORGET, factor=app.id)
    assert (page.path, page.notice) == ("/account", "")
    assert len(await factors_of(house)) == 2


async def test_a_browser_is_listed_as_long_as_it_counts(
    reader: Reader, house: House, ann: User, clock: FakeClock
) -> None:
    app = await add_app(reader, house, clock)
    await _remember(house, app, clock)
    clock.advance(timedelta(days=30))
    reader.client.cookies.clear()
    await let_in(reader.client, house, ann)
    assert "not asked for a code" not in (await reader.open("/account")).text


@pytest.mark.usefixtures("ann")
async def test_the_page_that_asks_for_a_code_knows_when_there_is_no_factor_any_more(
    reader: Reader, house: House, clock: FakeClock
) -> None:
    """The last one may be removed in another browser, while somebody looks for the phone."""
    app = await add_app(reader, house, clock)
    waiting = another_browser(house)
    asked = await waiting.fill_in("/sign-in", username="ann", password=PASSWORD)
    assert asked.path == SECOND
    await reader.open(f"{REMOVE}?factor={app.id}")
    assert (await reader.send(REMOVE, factor=app.id)).status == 200

    page = await waiting.open(SECOND)
    assert (page.status, page.path) == (200, "/sign-in")
    assert (await waiting.fill_in("/sign-in", username="ann", password=PASSWORD)).path == "/"
