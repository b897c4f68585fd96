"""Every form is posted with fields that are missing, wrong or too long, and is posted twice."""

import asyncio
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

import httpx2
import pytest

from gatelodge.app import House
from tests.pages.reader import ACCEPT, FORM, Reader
from tests.support.naughty import NAUGHTY
from tests.support.people import PASSWORD, sign_in_browser

OTHER = "another horse battery"
OURS = {"Origin": "http://localhost:8080", "Accept": ACCEPT}


@dataclass(frozen=True)
class FormCase:
    """A form with fields that are accepted.

    Attributes:
        path: where the form is.
        fields: the names and values of its fields.
        secrets: the fields that are never shown again.
        optional: the fields that may be missing.
        signed_in: whether the visitor must be signed in.
    """

    path: str
    fields: dict[str, str]
    secrets: set[str]
    signed_in: bool = False
    optional: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        """Name the case."""
        return self.path


SIGN_UP = {"username": "bob", "email": "bob@example.com", "password": PASSWORD}
FORMS = [
    FormCase("/sign-up", SIGN_UP, {"password"}),
    FormCase("/sign-in", {"username": "ann", "password": PASSWORD}, {"password"}),
    FormCase(
        "/account/password",
        {"username": "ann", "currentPassword": PASSWORD, "newPassword": OTHER},
        {"currentPassword", "newPassword"},
        signed_in=True,
        optional={"username"},
    ),
    FormCase(
        "/sign-in/again",
        {"username": "ann", "password": PASSWORD},
        {"password"},
        signed_in=True,
        optional={"username"},
    ),
    FormCase("/setup", SIGN_UP, {"password"}),
]
FIELDS = [(case, name) for case in FORMS for name in case.fields if name not in case.optional]


async def prepare(case: FormCase, reader: Reader, house: House) -> None:
    """Make Ann, and be where the form is."""
    await sign_in_browser(reader.client, house, "ann")
    if not case.signed_in:
        reader.client.cookies.clear()
    if case.path == "/setup":
        await reader.open(f"/setup?token={await house.setup.invite()}")


@pytest.mark.parametrize(("case", "name"), FIELDS, ids=str)
@pytest.mark.parametrize("empty", [True, False], ids=["empty", "missing"])
async def test_a_form_that_lacks_a_field_says_which(
    reader: Reader, house: House, case: FormCase, name: str, empty: bool
) -> None:
    """All that was typed is still there, except passwords. The missing field has the focus."""
    await prepare(case, reader, house)
    left = {key: value for key, value in case.fields.items() if key != name}

    page = await reader.send(case.path, **left | ({name: ""} if empty else {}))

    assert (page.status, page.path, page.focused) == (400, case.path, name)
    assert page.problem(name).startswith("Enter ")
    assert page.alert == page.problem(name)
    assert page.title.startswith("Error: ")
    shown = page.form(case.path)
    for key, value in left.items():
        assert shown[key] == ("" if key in case.secrets else value)


@pytest.mark.parametrize("case", FORMS, ids=str)
async def test_an_empty_form_says_all_that_is_missing(
    reader: Reader, house: House, case: FormCase
) -> None:
    await prepare(case, reader, house)
    page = await reader.send(case.path)
    required = [name for name in case.fields if name not in case.optional]

    assert page.status == 400
    assert all(page.problem(name) for name in required)
    assert page.alert == " ".join(page.problem(name) for name in required)
    assert page.focused == required[0]


@pytest.mark.parametrize(
    ("path", "wrong", "status", "name", "sentence"),
    [
        ("/sign-up", {"username": "b"}, 400, "username", "A username has 3 to 32 characters."),
        ("/sign-up", {"username": "admin"}, 400, "username", "That username is reserved."),
        ("/sign-up", {"username": "ANN"}, 400, "username", "That username is taken."),
        ("/sign-up", {"email": "bob"}, 400, "email", "Enter an e-mail address"),
        ("/sign-up", {"email": "ann@example.com"}, 400, "email", "There is an account with this"),
        ("/sign-up", {"password": "short"}, 400, "password", "Use at least 8 characters."),
        ("/sign-up", {"password": "password"}, 400, "password", "That password is one of the most"),
        ("/sign-up", {"password": "bob@example.com"}, 400, "password", "That password is easy"),
        ("/sign-in", {"password": "wrong"}, 401, "password", "That name and password do not"),
        ("/sign-in", {"password": "x" * 300}, 400, "password", "Use at most 256 characters"),
        ("/sign-in", {"username": "nobody"}, 401, "password", "That name and password do not"),
        (
            "/account/password",
            {"currentPassword": "wrong"},
            400,
            "currentPassword",
            "That is not your current password.",
        ),
        ("/account/password", {"newPassword": "12345678"}, 400, "newPassword", "That password is"),
        ("/account/password", {"newPassword": "ann"}, 400, "newPassword", "Use at least 8"),
        ("/sign-in/again", {"password": "wrong"}, 400, "password", "That is not your current"),
        ("/setup", {"username": "ann"}, 400, "username", "That username is taken."),
        ("/setup", {"password": "12345678"}, 400, "password", "That password is one of the most"),
    ],
)
async def test_a_field_that_is_wrong_is_told_beside_it(
    reader: Reader,
    house: House,
    path: str,
    wrong: dict[str, str],
    status: int,
    name: str,
    sentence: str,
) -> None:
    case = next(each for each in FORMS if each.path == path)
    await prepare(case, reader, house)

    page = await reader.send(path, **case.fields | wrong)

    assert (page.status, page.path, page.focused) == (status, path, name)
    assert page.problem(name).startswith(sentence)
    assert page.alert == page.problem(name)
    shown = page.form(path)
    for key, value in (case.fields | wrong).items():
        assert shown[key] == ("" if key in case.secrets else value)
    assert PASSWORD not in page.response.text

    assert (await reader.send(path, **case.fields)).status == 200, "corrected, it is taken"


@pytest.mark.parametrize(("case", "name"), FIELDS, ids=str)
@pytest.mark.parametrize("length", [300, 1100, 2400])
async def test_a_field_that_is_too_long_is_refused(
    reader: Reader, house: House, case: FormCase, name: str, length: int
) -> None:
    """The page with the refusal does not grow with the field."""
    await prepare(case, reader, house)

    page = await reader.send(case.path, **case.fields | {name: "é" * length})

    assert page.status in {400, 401}
    assert page.alert
    assert len(page.response.content) < 16_000


@pytest.mark.parametrize("case", FORMS, ids=str)
async def test_a_form_beyond_16_kib_is_refused_with_a_page(
    reader: Reader, house: House, case: FormCase
) -> None:
    await prepare(case, reader, house)
    page = await reader.send(case.path, **case.fields | {"username": "a" * 20_000})

    assert (page.status, page.heading) == (413, "Too large")


@pytest.mark.real_hash
@pytest.mark.parametrize("case", FORMS, ids=str)
async def test_a_form_that_is_sent_twice_at_once_does_its_work_once(
    reader: Reader, house: House, case: FormCase
) -> None:
    """The second answer does not blame the reader, since the browser may show either of them."""
    await prepare(case, reader, house)

    answers = await asyncio.gather(*(reader.post(case.path, case.fields) for _ in range(2)))

    refused = [answer for answer in answers if answer.headers["location"] == case.path]
    assert {answer.status_code for answer in answers} == {303}
    assert len(refused) == 0 or (len(refused), case.path) == (1, "/account/password")
    names = [user.username for user in await house.stores.users.list_users(after=None, limit=9)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("path", ["/sign-up", "/setup"])
async def test_a_form_that_is_sent_again_signs_the_same_user_in(
    reader: Reader, house: House, path: str
) -> None:
    """This happens after Back and Reload. It works only with the same password and address."""
    case = next(each for each in FORMS if each.path == path)
    await prepare(case, reader, house)
    first = await reader.send(path, **SIGN_UP)
    again = await reader.send(path, **SIGN_UP)
    assert first.path == again.path
    users = await house.stores.users.list_users(after=None, limit=9)
    assert sorted(user.username for user in users) == ["ann", "bob"]

    for wrong in ({"password": OTHER}, {"email": "other@example.com"}):
        refused = await reader.send(path, **SIGN_UP | wrong)
        assert refused.status in {400, 410}


@pytest.mark.parametrize("path", ["/sign-up", "/sign-in", "/setup"])
async def test_a_form_that_signs_in_ends_the_session_that_the_browser_had(
    reader: Reader, house: House, path: str
) -> None:
    """A new session begins, and the old one ends (ASVS 7.2.4)."""
    case = next(each for each in FORMS if each.path == path)
    await prepare(replace(case, signed_in=True), reader, house)
    ann = await house.accounts.get_by_username("ann")
    [before] = await house.sessions.list_own(ann, before=None, limit=9)

    await reader.send(path, **case.fields)

    account = await reader.open("/account")
    assert case.fields["username"] in account.text
    left = await house.sessions.list_own(ann, before=None, limit=9)
    assert before.id not in {session.id for session in left}


@pytest.mark.parametrize("path", ["/sign-up", "/setup"])
async def test_two_cookies_of_a_name_that_differ_lock_nobody_out_of_a_form(
    reader: Reader, house: House, path: str
) -> None:
    """Another host of the domain may have set one of them: neither counts, and both go."""
    case = next(each for each in FORMS if each.path == path)
    await prepare(case, reader, house)
    ours = "; ".join(f"{cookie.name}={cookie.value}" for cookie in reader.client.cookies.jar)
    planted = f"{ours}; gatelodge-refresh=one; gatelodge-refresh=other"

    response = await reader.client.post(
        path, data=case.fields, headers=OURS | {"Content-Type": FORM, "Cookie": planted}
    )

    assert response.status_code == 303
    users = await house.stores.users.list_users(after=None, limit=9)
    assert case.fields["username"] in [user.username for user in users]
    kept = [line for line in response.headers.get_list("set-cookie") if "gatelodge-" in line]
    assert any(line.startswith("gatelodge-access=eyJ") for line in kept)


@pytest.mark.parametrize("settings", [{"sign_in_tries_per_account": 0}], indirect=True)
@pytest.mark.parametrize("case", FORMS, ids=str)
async def test_nothing_typed_makes_the_server_stumble(
    reader: Reader, house: House, case: FormCase
) -> None:
    """Every field gets the same naughty string. The answer is a page that says what is wrong."""
    await prepare(case, reader, house)
    for text in NAUGHTY[::9]:
        encoded = text.encode("utf-8", "surrogatepass")
        body = urlencode({name: encoded for name in case.fields if name not in case.optional})
        response = await reader.client.post(
            case.path, content=body, headers=OURS | {"Content-Type": FORM}
        )
        if response.headers.get("location") == case.path:  # where the refusal is told
            response = await reader.ask(case.path)
        assert response.status_code in {303, 400, 401}, ascii(text)
        if response.status_code == 303:  # the text was an acceptable password
            await prepare(case, reader, house)


@pytest.mark.parametrize(
    "body",
    [
        "username=ann&username=ann&password=x",
        "username=ann&password=x&roles=admin",
        "username=%ff&password=x",
        "username=a%00b&password=x",
        "=&==&&",
        "&".join(f"field{number}=x" for number in range(80)),
    ],
)
async def test_a_form_that_no_browser_sends_is_refused_with_a_page(
    reader: Reader, body: str
) -> None:
    response = await reader.client.post(
        "/sign-in", content=body, headers=OURS | {"Content-Type": FORM}
    )

    assert response.status_code == 400
    assert "That did not work" in response.text


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x", ""])
async def test_what_is_no_form_is_refused(client: httpx2.AsyncClient, kind: str) -> None:
    response = await client.post("/sign-in", content=b"{}", headers=OURS | {"Content-Type": kind})

    assert response.status_code == 415


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://localhost:8080"}, 303),
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Referer": "http://localhost:8080/sign-in"}, 303),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost:8080.evil.example"}, 403),
    ],
)
async def test_a_form_of_another_site_is_refused(
    reader: Reader, headers: dict[str, str], status: int
) -> None:
    """Sign-in too: it could sign the reader in as somebody else (ASVS 7.6.2)."""
    for path, fields in (
        ("/sign-in", {"username": "ann", "password": PASSWORD}),
        ("/sign-out", {}),
    ):
        response = await reader.client.post(
            path, data=fields, headers={"Accept": ACCEPT, "Content-Type": FORM} | headers
        )
        assert response.status_code == status
    if status == 403:
        assert (await reader.open("/")).heading == "Hello, ann"


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "There were too many tries. Please try again in 30 seconds."),
        ("de", "Das waren zu viele Versuche."),
    ],
)
async def test_who_has_tried_too_often_reads_when_to_come_back(
    reader: Reader, language: str, sentence: str
) -> None:
    """The form shows it and keeps the name. It does not show whether the user exists."""
    reader.headers["Accept-Language"] = language
    for _ in range(10):
        page = await reader.fill_in("/sign-in", username="nobody", password="wrong")
        assert page.status == 401
    page = await reader.fill_in("/sign-in", username="nobody", password="wrong")

    assert page.status == 429
    assert page.response.headers["Retry-After"] == "30"
    assert sentence in page.alert
    assert page.form("/sign-in")["username"] == "nobody"
    assert page.form("/sign-in")["password"] == ""


@pytest.mark.usefixtures("ann")
async def test_a_stolen_browser_is_no_way_to_guess_the_password(reader: Reader) -> None:
    """Neither by changing it nor by proving oneself again, which count together."""
    for number in range(10):
        if number % 2:
            page = await reader.fill_in("/sign-in/again", password=OTHER)
        else:
            page = await reader.fill_in(
                "/account/password", currentPassword=OTHER, newPassword="seven wild swans"
            )
        assert page.status == 400
    page = await reader.fill_in("/sign-in/again", password=PASSWORD)

    assert page.status == 429
    assert "too many tries" in page.alert
    assert (await reader.open("/account")).status == 200


@pytest.mark.parametrize("path", ["/sign-up", "/setup"])
async def test_a_form_with_several_mistakes_names_all_of_them_at_once(
    reader: Reader, house: House, path: str
) -> None:
    """Whoever is told of one at a time types the password once for each."""
    if path == "/setup":
        await reader.open(f"/setup?token={await house.setup.invite()}")
    page = await reader.send(path, username="x!", email="nope", password="abc")
    assert page.status == 400
    assert all(page.problem(name) for name in ("username", "email", "password"))
    assert page.focused == "username"
    page = await reader.send(path, username="carol", email="nope", password="abc")
    assert not page.problem("username")
    assert page.problem("email")
    assert page.problem("password")


@pytest.mark.parametrize("path", ["/sign-up", "/setup"])
async def test_what_is_missing_hides_nothing_that_is_wrong(
    reader: Reader, house: House, path: str
) -> None:
    """The focus is on the first field of the page that has a problem, of either kind."""
    await reader.open(f"/setup?token={await house.setup.invite()}")
    page = await reader.send(path, username="x!", email="", password="abc")
    assert page.problem("username") == "A username has 3 to 32 characters."
    assert page.problem("email") == "Enter your e-mail address."
    assert page.problem("password") == "Use at least 8 characters."
    assert (page.status, page.focused) == (400, "username")


@pytest.mark.usefixtures("ann")
async def test_a_new_password_that_cannot_be_used_is_told_beside_a_wrong_current_one(
    reader: Reader,
) -> None:
    """Each such try counts as a wrong password; what is wrong with the new one costs none."""
    for _ in range(10):
        page = await reader.send("/account/password", currentPassword=OTHER, newPassword="short")
        assert (page.status, page.focused) == (400, "currentPassword")
        assert page.problem("currentPassword") == "That is not your current password."
        assert page.problem("newPassword") == "Use at least 8 characters."
    page = await reader.send("/account/password", currentPassword=PASSWORD, newPassword="short")
    assert page.status == 429
    assert "too many tries" in page.alert
    assert page.problem("newPassword") == "Use at least 8 characters."


@pytest.mark.usefixtures("ann")
async def test_a_new_password_that_cannot_be_used_costs_no_try(reader: Reader) -> None:
    for _ in range(11):
        page = await reader.send("/account/password", currentPassword=PASSWORD, newPassword="short")
        assert page.status == 400
        assert not page.problem("currentPassword")
        page = await reader.send("/account/password", currentPassword="", newPassword="short")
        assert page.problem("currentPassword") == "Enter your current password."
        assert page.problem("newPassword") == "Use at least 8 characters."
    page = await reader.send("/account/password", currentPassword=PASSWORD, newPassword=OTHER)
    assert page.path == "/account"


async def test_a_program_is_told_of_the_first_mistake(client: httpx2.AsyncClient) -> None:
    """In the order of the contract: username, address, password."""
    body = {"username": "x!", "email": "nope", "password": "abc"}
    answer = await client.post("/api/auth/signup", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "username_invalid")
    assert set(answer.json()) == {"code", "message", "field", "request_id"}
