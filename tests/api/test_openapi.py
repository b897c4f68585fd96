"""The OpenAPI document is right: schemathesis tries what it says on the real server."""

import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.specs.openapi import checks

from gatelodge import __version__
from gatelodge.app import DOORS, build, create_api
from gatelodge.credentials.refusals import HELD_BACK
from gatelodge.settings import Settings
from gatelodge.web.door import Door
from gatelodge.web.openapi import document_of
from tests.support.people import PASSWORD
from tests.support.server import Server

load_all_checks()


def document(**settings: Any) -> dict[str, Any]:
    """Return the document; no server is needed for that."""
    with tempfile.TemporaryDirectory() as nowhere:
        return document_of(create_api(build(Settings(data_dir=Path(nowhere), **settings))))


DOCUMENT = document()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
SCHEMA_FOR_CALLERS = schemathesis.openapi.from_dict(DOCUMENT)
SCHEMA_FOR_CALLERS.config.generation.with_security_parameters = False  # beside ours: a conflict
for _schema in (SCHEMA, SCHEMA_FOR_CALLERS):  # a list that is too long makes the address too long
    _schema.config.checks.negative_data_rejection.expected_statuses.append("414")
EXAMPLES = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,  # the same requests every time: what they find, they find again
    database=None,
    suppress_health_check=list(HealthCheck),
)

# Not `positive_data_acceptance`: a JSON schema cannot say that a name is taken, or a password
# common, or a token bad. We answer such with 400 and a code, as the tutorial did.
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
    checks.allow_header_conformance,
    checks.ignored_auth,
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return one server for the whole module."""
    folder = tmp_path_factory.mktemp("openapi")
    with Server(folder, public_url="http://localhost:8080") as running:  # that of `DOCUMENT`
        yield running


@pytest.fixture(scope="module")
def admin(server: Server) -> dict[str, str]:
    """Return the header of an administrator who is a moderator too."""
    roles = ("--role", "user", "--role", "moderator", "--role", "admin")
    arguments = ("user", "create", "adele", "adele@example.com", *roles, "--password-stdin")
    assert server.command(*arguments, typed=f"{PASSWORD}\n").returncode == 0
    body = {"username": "adele", "password": PASSWORD}
    answer = httpx2.post(f"{server.url}/api/auth/signin", json=body).json()
    return {"Authorization": f"Bearer {answer['accessToken']}"}


@SCHEMA.parametrize()
@EXAMPLES
def test_the_server_answers_a_stranger_as_the_document_says(
    case: schemathesis.Case[Any], server: Server
) -> None:
    """Status, type, shape; wrong input refused; no token, no entry; never a 5xx."""
    case.call_and_validate(server.url, checks=CHECKS, excluded_checks=waived(case))


# A sign-out would end the session that the other operations are tried with. The answer with the
# events as they happen stays open for minutes.
@SCHEMA_FOR_CALLERS.exclude(path=["/api/auth/signout", "/api/admin/events/live"]).parametrize()
@EXAMPLES
def test_the_server_answers_an_administrator_as_the_document_says(
    case: schemathesis.Case[Any], server: Server, admin: dict[str, str]
) -> None:
    """The same, with a token that opens every door; and with a bad one in its place."""
    case.call_and_validate(server.url, headers=admin, checks=CHECKS, excluded_checks=waived(case))


def waived(case: schemathesis.Case[Any]) -> list[Any]:
    """Return the checks that do not hold here: a sign-out never fails over its body."""
    return [checks.negative_data_rejection] if case.path == "/api/auth/signout" else []


def test_the_document_is_valid_openapi() -> None:
    """By the published JSON schema of OpenAPI 3.1."""
    assert DOCUMENT["openapi"].startswith("3.1.")
    SCHEMA.validate()


def test_the_document_has_every_route_and_no_other() -> None:
    documented = {
        (method.upper(), path)
        for path, operations in DOCUMENT["paths"].items()
        for method in operations
    }
    assert documented == {
        (route.method, route.path)
        for door in DOORS
        if isinstance(door, Door)
        for route in door.routes
    }


def test_the_document_says_of_every_operation_how_it_refuses() -> None:
    """Each status with our problem as its shape, none with FastAPI's own 422."""
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            refusals = {
                code: answer for code, answer in operation["responses"].items() if code >= "4"
            }
            assert {"400", "500", "503"} <= set(refusals), (method, path)
            assert "422" not in refusals
            if operation["security"]:
                assert "401" in refusals or "403" in refusals
            for code, answer in refusals.items():
                shape = answer["content"]["application/json"]["schema"]
                assert shape == {"$ref": "#/components/schemas/Problem"}, (method, path, code)


def test_the_document_says_what_the_server_is_and_where() -> None:
    """How to authenticate, what cookies need, how errors look, and what is limited."""
    info = DOCUMENT["info"]
    for part in (
        "authenticate",
        "Cookies",
        "Errors",
        "Limits",
        "cross_site_request",
        "Retry-After",
    ):
        assert part in info["description"]
    assert info["version"] == __version__
    assert DOCUMENT["servers"] == [{"url": "http://localhost:8080"}]
    used = {tag for _, _, operation in operations() for tag in operation["tags"]}
    assert {tag["name"] for tag in DOCUMENT["tags"]} == used
    assert all(tag["description"].endswith(".") for tag in DOCUMENT["tags"])


def test_the_document_names_the_address_and_the_cookie_that_are_set() -> None:
    there = document(public_url="https://id.example", cookie_name="lodge")

    assert there["servers"] == [{"url": "https://id.example"}]
    cookie = there["components"]["securitySchemes"]["cookie"]
    assert cookie["name"] == "__Host-lodge-access"


def test_every_operation_says_what_it_is_for_and_shows_how() -> None:
    """Summary, description, and an example of its body and of its usual answer."""
    for method, path, operation in operations():
        assert 3 < len(operation["summary"]) < 48, (method, path)
        assert operation["description"].endswith((".", "…")), (method, path)
        if body := operation.get("requestBody"):
            shown = body["content"]["application/json"]
            assert fits(shown["example"], shown["schema"]), (method, path)
        usual = operation["responses"]["200"]
        assert usual.get("content") or usual["headers"], (method, path)
        for shown in usual.get("content", {}).values():
            assert fits(shown["example"], shown["schema"]), (method, path)
            assert shown["example"], (method, path)
        for header in usual.get("headers", {}).values():
            assert fits(header["example"], header["schema"]), (method, path)


def test_every_refusal_shows_its_code_and_message() -> None:
    """As it is answered, under its code; what the tutorial's clients read too."""
    for method, path, operation in operations():
        for status, answer in operation["responses"].items():
            if status >= "4":
                examples = answer["content"]["application/json"]["examples"]
                assert set(examples) == set(re.findall(r"`(\w+)`:", answer["description"]))
                for code, example in examples.items():
                    problem = example["value"]
                    assert problem["code"] == code, (method, path)
                    assert problem["message"], (method, path)
                    assert fits(problem, PROBLEM), (method, path)
    signing_in = DOCUMENT["paths"]["/api/auth/signin"]["post"]["responses"]["401"]
    refusal = signing_in["content"]["application/json"]["examples"]["invalid_credentials"]["value"]
    assert refusal["accessToken"] is None


def test_the_example_of_a_refusal_is_what_the_server_answers(server: Server) -> None:
    path = DOCUMENT["paths"]["/api/auth/me"]["get"]["responses"]["401"]["content"]
    shown = path["application/json"]["examples"]["token_missing"]["value"]

    answer = httpx2.get(f"{server.url}/api/auth/me").json()

    assert answer | {"request_id": ""} == shown | {"request_id": ""}
    assert len(answer["request_id"]) == len(shown["request_id"])


PROBLEM = {"$ref": "#/components/schemas/Problem"}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the method, the path and the description of every operation."""
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def fits(example: object, schema: dict[str, Any]) -> bool:
    """Say whether an example has the shape that the document says."""
    return jsonschema_rs.is_valid(schema | {"components": DOCUMENT["components"]}, example)


def test_the_command_prints_the_document_that_the_server_serves(server: Server) -> None:
    served = httpx2.get(f"{server.url}/api/openapi.json").json()
    assert json.loads(server.command("openapi").stdout) == served == DOCUMENT


# The page for people says the same

API_PAGE = Path(__file__).parents[2] / "docs" / "api.md"
_TOLD_ONCE = {
    *("invalid_request", "unsupported_media_type", "body_too_large", "body_too_slow"),
    *("cross_site_request", "token_missing", "token_invalid", "token_expired", "token_conflict"),
    *("store_unavailable", "outcome_unknown", "internal_error", "impersonating"),
}
"""The refusals of many routes, which `errors.md` explains for all of them."""

_OF_HELD_BACK = {each.code for each in HELD_BACK}
"""Both together: the rule refuses sessions that are held back, which the page says once."""


def test_the_page_of_the_api_names_what_each_route_is_refused_with() -> None:
    """Also by a reference to the section of `GET /api/auth/me`."""
    section = r"^### `([A-Z]+ /\S*)`\n(.*?)(?=^##|\Z)"
    sections = dict(re.findall(section, API_PAGE.read_text(), re.MULTILINE | re.DOTALL))
    missing = {
        f"{method.upper()} {path}": codes
        for path, methods in DOCUMENT["paths"].items()
        for method, route in methods.items()
        if (codes := _codes_in(route) - _TOLD_ONCE - _named_in(sections, f"{method} {path}"))
    }
    assert missing == {}


def _named_in(sections: dict[str, str], route: str) -> set[str]:
    """Return what the section of a route names."""
    method, path = route.split()
    section = sections[f"{method.upper()} {path}"]
    if "what [`me`](#get-apiauthme) is refused with" in section.replace("\n", " "):
        section += sections["GET /api/auth/me"]
    return set(re.findall(r"`(\w+)`", section))


def _codes_in(route: dict[str, Any]) -> set[str]:
    """Return the codes of the refusals that the document describes for a route."""
    bodies = (answer.get("content", {}) for answer in route["responses"].values())
    codes = {
        example["value"]["code"]
        for body in bodies
        for example in body.get("application/json", {}).get("examples", {}).values()
    }
    return codes - _OF_HELD_BACK if codes >= _OF_HELD_BACK else codes
