"""Every bad request gets an answer, and never a 5xx (security.md, section 9).

The routes are read from the doors, so a new route is tested here too.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, get_args
from urllib.parse import quote

import httpx2
import jsonschema_rs
import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel

from gatelodge.accounts.permissions import USERS_IMPERSONATE
from gatelodge.app import DOORS, House
from gatelodge.audit import COMMAND
from gatelodge.web.door import Door
from gatelodge.web.shell import MAX_BODY_BYTES
from tests.support.naughty import NAUGHTY
from tests.support.people import Person, signed_in

JSON = {"Content-Type": "application/json"}
MEBIBYTE = 1024 * 1024

JSON_DOORS = [door for door in DOORS if isinstance(door, Door)]
ROUTES = [route for door in JSON_DOORS for route in door.routes]


@dataclass(frozen=True)
class Form:
    """A route that reads a JSON body, with the schema of that body."""

    method: str
    url: str
    schema: dict[str, Any]
    required: bool

    @property
    def body(self) -> dict[str, Any]:
        """A body that the route accepts, made of the examples in the schema."""
        properties = self.schema["properties"]
        return {name: properties[name].get("examples", ["text"])[0] for name in self.necessary}

    @property
    def bytes(self) -> bytes:
        """That body as bytes."""
        return json.dumps(self.body).encode()

    @property
    def necessary(self) -> list[str]:
        """The names of the required fields."""
        return list(self.schema.get("required", ()))

    @property
    def fields(self) -> list[str]:
        """The names of all fields."""
        return list(self.schema["properties"])

    def accepts(self, body: object) -> bool:
        """Say whether this body matches the schema."""
        return jsonschema_rs.is_valid(self.schema, body)

    @property
    def texts(self) -> list[str]:
        """The names of the fields that accept text."""
        return [field for field in self.fields if self.accepts(self.body | {field: "text"})]


def forms() -> Iterator[Form]:
    """Yield every route that reads a JSON body."""
    for door in JSON_DOORS:
        for route in door.router.routes:
            assert isinstance(route, APIRoute)
            if route.body_field is not None:
                field = route.body_field.field_info
                schema = model_in(field.annotation).model_json_schema()
                yield Form(
                    min(route.methods or ()), concrete(route.path), schema, field.is_required()
                )


def model_in(annotation: Any) -> type[BaseModel]:
    """Return the model of a body that may be optional."""
    return next(kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type))


def concrete(path: str) -> str:
    """Return a path with a value in place of each parameter."""
    return "/".join(_value_of(part) if part.startswith("{") else part for part in path.split("/"))


def _value_of(parameter: str) -> str:
    """Return an id that nothing has, such as `fac_none` for `{factor_id}`."""
    name = parameter.strip("{}").partition(":")[0]
    return "usr_none" if name == "user_id" else f"{name[:3]}_none"


FORMS = list(forms())


@pytest.fixture
async def admin(client: httpx2.AsyncClient, house: House) -> Person:
    """Return a user whom every route admits, so that every route reads the bad body."""
    await house.roles.create("seer", "", (USERS_IMPERSONATE,), COMMAND)
    return await signed_in(client, house, "adele", "moderator", "admin", "seer")


@pytest.fixture
def send(client: httpx2.AsyncClient, admin: Person) -> "Send":
    """Return a function that sends bytes, as JSON if no other type is given."""
    return Send(client, admin.headers)


@dataclass(frozen=True)
class Send:
    """Sends bytes to a route that reads a JSON body."""

    client: httpx2.AsyncClient
    headers: dict[str, str]

    async def __call__(
        self, form: Form, content: bytes | AsyncIterable[bytes], **headers: str
    ) -> httpx2.Response:
        """Return the answer."""
        return await self.client.request(
            form.method, form.url, content=content, headers=JSON | self.headers | headers
        )

    async def json(self, form: Form, body: object) -> httpx2.Response:
        """Return the answer to a body that is written as JSON."""
        return await self(form, json.dumps(body).encode())


def test_every_json_route_is_tried() -> None:
    """If no routes were found at the doors, every test below would pass."""
    assert {"/api/auth/signup", "/api/auth/signin"} <= {form.url for form in FORMS}
    assert all(form.accepts(form.body) for form in FORMS)


# Bodies that are not JSON, or that two readers could read differently

NOT_JSON = {
    "white space": (b" \r\n\t", "not JSON"),
    "half of it": (b'{"username": "ann"', "not JSON"),
    "two values": (b"{} {}", "not JSON"),
    "single quotes": (b"{'username': 'ann'}", "not JSON"),
    "a comma too many": (b'{"username": "ann",}', "not JSON"),
    "a comment": (b'{"username": "ann" /* ! */}', "not JSON"),
    "a form": (b"username=ann&password=secret", "not JSON"),
    "a raw newline in a text": (b'{"username": "a\nb"}', "not JSON"),
    "a bad escape": (rb'{"username": "\x41"}', "not JSON"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "not JSON"),
    "Latin-1": (b'{"username": "\xe9"}', "not UTF-8"),
    "an overlong encoding": (b'{"username": "\xc0\xaf"}', "not UTF-8"),
    "an encoded surrogate": (b'{"username": "\xed\xa0\x80"}', "not UTF-8"),
    "beyond Unicode": (b'{"username": "\xf4\x90\x80\x80"}', "not UTF-8"),
    "UTF-16": ('{"username": "ann"}'.encode("utf-16"), "not UTF-8"),
    "UTF-16 without a mark": ('{"username": "ann"}'.encode("utf-16-le"), "not JSON"),
    "UTF-32 without a mark": ('{"username": "ann"}'.encode("utf-32-be"), "not JSON"),
    "NaN": (b'{"username": NaN}', "not JSON"),
    "Infinity": (b'{"username": Infinity}', "not JSON"),
    "-Infinity": (b'{"username": [-Infinity]}', "not JSON"),
    "1e999": (b'{"username": 1e999}', "too many digits"),
    "-1e999": (b'{"username": [[-1e999]]}', "too many digits"),
    "twenty digits": (b'{"username": ' + b"9" * 20 + b"}", "too many digits"),
    "minus twenty digits": (b'{"username": -' + b"9" * 20 + b"}", "too many digits"),
    "five thousand digits": (b'{"username": ' + b"9" * 5000 + b"}", "too many digits"),
    "five thousand decimals": (b'{"username": 0.' + b"9" * 5000 + b"}", "too many digits"),
    "NUL": (rb'{"username": "a\u0000b"}', "not allowed"),
    "NUL in a key": (rb'{"user\u0000name": "ann"}', "not allowed"),
    "half a surrogate pair": (rb'{"username": "\ud800"}', "not allowed"),
    "the other half": (rb'{"username": ["\udfff"]}', "not allowed"),
    "a pair the wrong way round": (rb'{"username": "\udc00\ud800"}', "not allowed"),
    "a surrogate in a key": (rb'{"\ud800": "ann"}', "not allowed"),
    "17 levels": (b"[" * 17 + b"]" * 17, "too deeply"),
    "17 levels of objects": (b'{"a":' * 17 + b"1" + b"}" * 17, "too deeply"),
    "1,000 levels": (b"[" * 1000 + b"]" * 1000, "too deeply"),
    "8,000 levels": (b"[" * 8000 + b"]" * 8000, "too deeply"),
    "8,000 levels, never closed": (b"[" * 8000, "too deeply|not JSON"),
    "65 keys": (json.dumps(dict.fromkeys(map(str, range(65)))).encode(), "too many keys"),
    "65 keys within": (
        json.dumps([dict.fromkeys(map(str, range(65)))]).encode(),
        "too many keys",
    ),
    "a key twice within": (b'{"username": {"$eq": 1, "$eq": 2}}', "same key twice"),
    "a key twice, once escaped": (rb'{"a": 1, "\u0061": 2}', "same key twice"),
}
"""Each body, with words of the refusal's message: one of those between `|`."""


async def test_what_is_not_strict_json_is_refused_as_such(send: Send) -> None:
    for form in FORMS:
        for name, (body, reason) in NOT_JSON.items():
            problem = refused(await send(form, body), 400, name)
            assert problem["code"] == "invalid_request", name
            assert any(word in problem["message"] for word in reason.split("|")), (name, problem)


async def test_a_field_that_comes_twice_is_refused(send: Send) -> None:
    """Two readers could choose different values (RFC 8259, section 4)."""
    for form in FORMS:
        for field in form.fields:
            once = f"{json.dumps(field)}: {json.dumps(form.body.get(field, 'text'))}"
            problem = refused(await send(form, f"{{{once}, {once}}}".encode()), 400, field)
            assert "same key twice" in problem["message"]


async def test_json_at_the_limits_is_read(send: Send) -> None:
    """Bodies with 16 levels, 64 keys or 19 digits are parsed, and refused only by the schema."""
    for form in FORMS:
        at_the_limits = (
            b"[" * 16 + b"]" * 16,
            json.dumps(dict.fromkeys(map(str, range(64)))).encode(),
            json.dumps({"unknown": -(10**19 - 1)}).encode(),
            rb'{"unknown": "\ud83d\ude00"}',
        )
        for body in at_the_limits:
            problem = refused(await send(form, body), None, body)
            assert "The body is not" not in problem["message"]
            for word in ("deeply", "many", "allowed"):
                assert word not in problem["message"]


# Bodies that are JSON, but not what the route accepts

WRONG_VALUES: tuple[object, ...] = (
    None,
    0,
    -1,
    10**19 - 1,
    1.5,
    True,
    False,
    "",
    [],
    ["ann"],
    [None],
    [["user"]],
    [{"$ne": None}],
    {},
    {"$ne": None},
    {"$gt": ""},
    {"$regex": ".*"},
    {"username": "ann"},
    "a" * 2000,
    ["a" * 65],
    ["user"] * 17,
)


async def test_a_field_of_the_wrong_type_is_refused(send: Send) -> None:
    """Every value outside the schema is refused.

    Only this keeps operator objects such as `{"$ne": None}` away from MongoDB.
    """
    for form in FORMS:
        tried = 0
        for field in form.fields:
            for value in WRONG_VALUES:
                body = form.body | {field: value}
                if not form.accepts(body):
                    refused(await send.json(form, body), None, (field, value))
                    tried += 1
        assert tried >= 10


async def test_a_missing_field_is_refused(send: Send) -> None:
    for form in FORMS:
        if form.necessary:
            refused(await send.json(form, {}), None, "all")
        refused(await send(form, b""), None, "no body")
        for field in form.necessary:
            rest = {name: value for name, value in form.body.items() if name != field}
            refused(await send.json(form, rest), None, field)


NOT_FOR_CALLERS = (
    *("id", "_id", "role", "epoch", "verified", "email_verified_at", "disabled_at"),
    *("created_at", "disabled_reason", "must", "language", "name"),
    *("password_hash", "username_key", "__proto__", "constructor", "__class__", "", "$where"),
)

DECIDED_BY_CALLERS = {
    ("PATCH", "/api/auth/me"): {"name"},
    ("POST", "/api/auth/invitation"): {"name"},
    ("POST", "/api/auth/factors/totp/confirm"): {"name"},
    ("POST", "/api/auth/factors/passkey"): {"name"},
    ("PATCH", "/api/auth/factors/fac_none"): {"name"},
    ("POST", "/api/admin/users"): {"name"},
    ("PATCH", "/api/admin/users/usr_none"): {"name"},
    ("POST", "/api/admin/users/usr_none/roles"): {"role"},
    ("POST", "/api/admin/users/bulk"): {"role"},
    ("POST", "/api/admin/roles"): {"name"},
}


async def test_a_field_that_no_caller_decides_is_refused(send: Send) -> None:
    """Callers cannot give themselves an id, a role or a verified address (ASVS 15.3.3)."""
    for form in FORMS:
        decided = DECIDED_BY_CALLERS.get((form.method, form.url), set())
        denied = [field for field in NOT_FOR_CALLERS if field not in decided]
        for field in (*denied, *(field.upper() for field in form.body)):
            problem = refused(await send.json(form, form.body | {field: "1"}), 400, field)
            assert (problem["code"], problem["field"]) == ("invalid_request", field)


async def test_a_body_that_is_no_object_is_refused(send: Send) -> None:
    for form in FORMS:
        for body in (None, True, 0, 1.5, "", "ann", [], [form.body], [[form.body]]):
            refused(await send.json(form, body), None, body)


# Size and type of the body


async def test_a_body_that_says_it_is_large_is_refused_unread(send: Send) -> None:
    for form in FORMS:
        body = Counted(10 * MEBIBYTE)
        problem = refused(await send(form, body, **{"Content-Length": str(10 * MEBIBYTE)}), 413, "")
        assert (problem["code"], body.taken) == ("body_too_large", 0)


async def test_a_large_body_is_refused_before_it_is_read(send: Send) -> None:
    """The body does not say its length, and only its first bytes are read."""
    for form in FORMS:
        body = Counted(10 * MEBIBYTE)
        assert refused(await send(form, body), 413, "")["code"] == "body_too_large"
        assert body.taken <= MAX_BODY_BYTES + Counted.PIECE


async def test_a_body_of_the_most_bytes_is_read_and_one_more_is_not(send: Send) -> None:
    for form in FORMS:
        most = b'{"unknown": "' + b"a" * (MAX_BODY_BYTES - 15) + b'"}'
        assert len(most) == MAX_BODY_BYTES
        assert refused(await send(form, most), None, "")["code"] == "invalid_request"
        refused(await send(form, most + b" "), 413, "")
        refused(await send(form, b"[" * 100_000 + b"]" * 100_000), 413, "100,000 levels")


class Counted:
    """A long body that counts how much of it was taken."""

    PIECE = 4096

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self.taken < self.size:
            self.taken += self.PIECE
            yield b" " * self.PIECE


async def test_a_body_of_another_type_is_refused(client: httpx2.AsyncClient, admin: Person) -> None:
    """Among them are the types that a page of another origin can send without a preflight.

    ASVS 3.5.2.
    """
    for form in FORMS:
        for kind in (
            None,
            "",
            "text/plain",
            "text/plain; application/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "text/json",
            "application/jsonp",
            "application/json-patch+json",
            "application/problem+json",
            "application/json, text/plain",
            "json",
            "*/*",
        ):
            headers = admin.headers | ({} if kind is None else {"Content-Type": kind})
            response = await client.request(
                form.method, form.url, content=form.bytes, headers=headers
            )
            assert refused(response, 415, kind)["code"] == "unsupported_media_type"


async def test_the_type_may_be_written_as_the_standard_allows(send: Send) -> None:
    """Upper case and parameters are allowed (RFC 9110, section 8.3.1)."""
    for form in FORMS:
        for kind in ("application/json; a=b", "Application/JSON", "application/json ; a"):
            response = await send(form, b"[]", **{"Content-Type": kind})
            assert refused(response, None, kind)["code"] == "invalid_request"


# Path, method, query, host


async def test_a_query_parameter_that_comes_twice_is_refused(
    client: httpx2.AsyncClient, admin: Person
) -> None:
    for route in ROUTES:
        for query in ("a=1&a=2", "a=1&a=1", "a&a", "a=1&b=2&%61=3", "=1&=2"):
            url = f"{concrete(route.path)}?{query}"
            response = await client.request(route.method, url, headers=admin.headers | JSON)
            assert refused(response, 400, query)["code"] == "invalid_request"


async def test_every_method_that_a_path_does_not_take_is_answered_405(
    client: httpx2.AsyncClient,
) -> None:
    """The answer lists the allowed methods; HEAD belongs to GET (RFC 9110, section 15.5.6)."""
    for path in {route.path for route in ROUTES}:
        taken = {route.method for route in ROUTES if route.pattern.fullmatch(concrete(path))}
        taken |= {"HEAD"} if "GET" in taken else set()
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"} - taken:
            response = await client.request(method, concrete(path), headers=JSON)
            assert refused(response, 405, (method, path))["code"] == "method_not_allowed"
            allowed = response.headers["allow"].split(", ")
            assert (set(allowed), len(allowed)) == (taken, len(taken)), (method, path)


async def test_a_path_that_is_not_there_is_answered_404(client: httpx2.AsyncClient) -> None:
    for path in (
        *("/api", "/api/", "/api/auth", "/api/auth/", "/api/auth/signin/", "/api//auth/signin"),
        *("/API/auth/signin", "/api/auth/signin%00", "/api/auth/signin%0a", "/api/auth/signin;a=b"),
        *("/api/test/all/..", "/api/test/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd"),
        *("/.env", "/.git/config", "/%ff%fe", "/%ed%a0%80", "/%c0%af", "/%", "/%zz", "/'%22<>"),
    ):
        for method in ("GET", "POST", "DELETE"):
            response = await client.request(method, path, headers=JSON)
            assert refused(response, 404, (method, path))["code"] == "not_found"


async def test_an_address_that_is_too_long_is_answered_414(client: httpx2.AsyncClient) -> None:
    for url in ("/" + "a" * 4096, "/?" + "a" * 4096, "/api/test/all?" + "a=1&" * 1100):
        assert refused(await client.get(url), 414, url[:20])["code"] == "uri_too_long"


async def test_headers_that_are_too_large_are_answered_431(client: httpx2.AsyncClient) -> None:
    for headers in (
        {"x-large": "a" * 8192},
        {"x-access-token": "a" * 8192},
        {f"x-large-{number}": "a" * 6000 for number in range(3)},
        {f"x-{number}": "" for number in range(64)},
    ):
        response = await client.get("/api/test/all", headers=headers)
        assert refused(response, 431, len(headers))["code"] == "headers_too_large"


async def test_a_host_that_is_not_ours_is_answered_421(client: httpx2.AsyncClient) -> None:
    """Health checks call by IP address, so they answer for every host (security.md, section 7)."""
    for host in (
        *("evil.example", "localhost.evil.example", "evil.example:8080", "localhost@evil.example"),
        *("localhost:evil", "localhost:", "localhost:80:80", "[::1", "127.0.0.2", "localhost.."),
    ):
        response = await client.get("/api/test/all", headers={"Host": host})
        assert refused(response, 421, host)["code"] == "misdirected_request"
        assert (await client.get("/healthz", headers={"Host": host})).status_code == 200
    for host in ("localhost.", "LOCALHOST:8080", "[0:0::1]:8080", "localhost.:8080"):
        assert (await client.get("/api/test/all", headers={"Host": host})).status_code == 200


async def test_no_host_or_two_are_answered_400(client: httpx2.AsyncClient) -> None:
    """RFC 9112, section 3.2, requires it."""
    for hosts in ([], [""], ["localhost", "localhost"], ["localhost", "evil.example"]):
        request = client.build_request("GET", "/api/test/all")
        request.headers = httpx2.Headers([("Host", host) for host in hosts])
        response = await client.send(request)
        assert refused(response, 400, hosts)["code"] == "invalid_request"


# Tokens


@dataclass(frozen=True)
class Asked:
    """Asks for the user board with given headers."""

    client: httpx2.AsyncClient

    async def __call__(self, *headers: tuple[str, str], query: str = "") -> tuple[int, str]:
        """Return the status, and the board's text or the refusal's code."""
        response = await self.client.get(f"/api/test/user{query}", headers=list(headers))
        if response.status_code == 200:
            return 200, response.text
        return response.status_code, str(refused(response, None, headers)["code"])


NO_TOKEN = (403, "token_missing")
CONFLICT = (400, "token_conflict")
BAD = (401, "token_invalid")
LET_IN = (200, "User Content.")


async def test_tokens_are_read_as_rfc_6750_says(client: httpx2.AsyncClient, house: House) -> None:
    """A request carries one token, in one header or the same in both.

    Anything else is malformed, or counts as no token.
    """
    ann = (await signed_in(client, house, "ann")).token
    asked = Asked(client)
    bearer = ("Authorization", f"Bearer {ann}")

    assert await asked(bearer) == LET_IN
    assert await asked(("Authorization", f"bearer {ann}")) == LET_IN
    assert await asked(("Authorization", f"BEARER   {ann} ")) == LET_IN
    assert await asked(("x-access-token", ann)) == LET_IN
    assert await asked(bearer, ("x-access-token", ann)) == LET_IN
    assert await asked(bearer, ("x-access-token", "")) == LET_IN

    assert await asked() == NO_TOKEN
    assert await asked(("Authorization", "")) == NO_TOKEN
    assert await asked(("Authorization", "  "), ("x-access-token", " ")) == NO_TOKEN
    assert await asked(("Authorization", "Basic YW5uOnNlY3JldA==")) == NO_TOKEN
    assert await asked(("Authorization", ann)) == NO_TOKEN
    assert await asked(("Authorization", f"Bearer{ann}")) == NO_TOKEN
    assert await asked(("Authorization", "Basic YQ=="), ("x-access-token", ann)) == LET_IN

    assert await asked(("Authorization", "Bearer")) == CONFLICT
    assert await asked(("Authorization", "Bearer  ")) == CONFLICT
    assert await asked(("Authorization", f"Bearer {ann} {ann}")) == CONFLICT
    assert await asked(("Authorization", f"Bearer {ann}, Bearer {ann}")) == CONFLICT
    assert await asked(bearer, ("x-access-token", "another")) == CONFLICT
    assert await asked(bearer, bearer) == CONFLICT
    assert await asked(bearer, ("Authorization", "")) == CONFLICT
    assert await asked(("x-access-token", ann), ("x-access-token", ann)) == CONFLICT

    assert await asked(("x-access-token", f"Bearer {ann}")) == BAD
    assert await asked(("Authorization", f'Bearer "{ann}"')) == BAD
    assert await asked(("Authorization", f"Bearer {ann}=")) == BAD
    assert await asked(("Authorization", f"Bearer {ann[:-1]}")) == BAD


async def test_a_token_in_the_query_is_never_read(client: httpx2.AsyncClient, house: House) -> None:
    """RFC 9700, section 4.3.2: URLs end up in browser histories and in logs."""
    ann = (await signed_in(client, house, "ann")).token
    asked = Asked(client)

    for name in ("access_token", "token", "x-access-token", "Authorization", "accessToken"):
        assert await asked(query=f"?{name}={ann}") == NO_TOKEN
        assert await asked(("x-access-token", ann), query=f"?{name}=other") == LET_IN


# Naughty strings


async def test_no_text_in_a_field_breaks_the_server(send: Send) -> None:
    """Each text is accepted or refused with a message. None leads to a 5xx."""

    async def try_text(form: Form, *fields: str, text: str) -> None:
        body = form.body | dict.fromkeys(fields, text)
        survived(await send.json(form, body), (form.url, fields, text))

    for batch in batches_of(NAUGHTY, 32):  # the hashing queue has room for 32
        for form in FORMS:
            await asyncio.gather(*(try_text(form, *form.texts, text=text) for text in batch))
        for field in FORMS[0].texts:  # sign-up reports only the first wrong field
            await asyncio.gather(*(try_text(FORMS[0], field, text=text) for text in batch))


async def test_a_password_is_refused_at_sign_up_or_works_as_it_was_typed(
    client: httpx2.AsyncClient,
) -> None:
    """A password is not trimmed, cut or changed (ASVS 6.2.8)."""

    async def try_password(number: int, password: str) -> bool:
        person = Person(f"naughty{number}", client, password)
        response = await person.sign_up()
        if response.status_code != 200:
            assert refused(response, 400, password)["field"] == "password"
            return False
        assert (await person.sign_in()).status_code == 200, password
        person.password = password + " "
        assert (await person.sign_in()).status_code in {400, 401}, password
        return True

    outcomes = []
    for batch in batches_of(list(enumerate(NAUGHTY)), 32):
        outcomes += await asyncio.gather(*(try_password(*each) for each in batch))
    assert outcomes.count(True) >= 50


async def test_no_text_in_an_address_breaks_the_server(
    client: httpx2.AsyncClient, admin: Person
) -> None:
    """The texts are put into path parameters and into the query."""
    paths = {route.path.partition("{")[0] for route in ROUTES if "{" in route.path}
    for text in NAUGHTY:
        for method, url in (
            *(("DELETE", f"{path}{quote(text, safe='')}") for path in {"/", *paths}),
            ("GET", f"/api/auth/sessions?cursor={quote(text)}"),
            ("GET", f"/api/auth/sessions?limit={quote(text)}"),
            ("GET", f"/api/test/all?{quote(text)}={quote(text)}"),
        ):
            survived(await client.request(method, url, headers=admin.headers), text)


HEADERS = (
    *("Authorization", "x-access-token", "Cookie", "Origin", "Referer", "Sec-Fetch-Site"),
    *("User-Agent", "Host", "Accept", "Content-Type", "X-Request-Id", "X-Forwarded-For"),
)


async def test_no_text_in_a_header_breaks_the_server(client: httpx2.AsyncClient) -> None:
    """The headers also carry bytes that the standards forbid there."""
    for text in (*NAUGHTY, *NAUGHTY_ADDRESSES, *NAUGHTY_COOKIES):
        value = text.encode()
        for header in HEADERS:
            response = await client.post("/api/auth/refresh", headers={header.encode(): value})
            refused(response, None, (header, text))
        for header in ("Authorization", "x-access-token", "Cookie", "Accept", "If-None-Match"):
            survived(
                await client.get("/api/test/user", headers={header.encode(): value}), (header, text)
            )
        bearer = {b"Authorization": b"Bearer " + value}
        refused(await client.get("/api/test/user", headers=bearer), None, text)


NAUGHTY_ADDRESSES = (
    *("http://[", "http://[::1", "http://]", "http://[v1.a]/", "http://a:b:c/", "http://a:99999/"),
    *("http://", "//", "null", "http://\u2100.example/", "http://a@b@c/", "https://localhost:8080"),
)
"""Addresses for which `urlsplit` raises ValueError, or which browsers read in another way."""

NAUGHTY_COOKIES = (
    *("gatelodge-access", "gatelodge-access=", "gatelodge-refresh=;", "=gatelodge-access", ";;;"),
    *("gatelodge-refresh=rt_", "gatelodge-access=a; gatelodge-access=b", "gatelodge-refresh=\xff"),
    *('gatelodge-refresh="rt_a"', "gatelodge-refresh=rt_" + "A" * 75, "$Version=1", "a" * 4000),
)


def batches_of(items: Any, size: int) -> Iterator[Any]:
    """Yield the items in batches of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def survived(response: httpx2.Response, what: object) -> None:
    """Check that the answer is a 200 or a refusal."""
    if response.status_code != 200:
        refused(response, None, what)


def refused(response: httpx2.Response, status: int | None, what: object) -> dict[str, Any]:
    """Check that the answer is a refusal, and return its body. If `status` is None, any 4xx is."""
    assert 400 <= response.status_code < 500, (what, response.status_code, response.text)
    assert status in {None, response.status_code}, (what, response.status_code, response.text)
    problem: dict[str, Any] = response.json()
    assert response.headers["content-type"] == "application/json"
    assert problem["code"]
    assert problem["message"].endswith((".", "!")), problem
    assert not re.search("Input should|Field required|Extra inputs|Value error", problem["message"])
    assert problem["request_id"] == response.headers["x-request-id"], what
    return problem
