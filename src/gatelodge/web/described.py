"""What the OpenAPI document says of a route, besides what FastAPI reads from its endpoint."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from gatelodge.errors import Refusal, TooMany, Unavailable
from gatelodge.gate.rules import Rule
from gatelodge.web.responses import refusal_body, status_of

JSON = "application/json"
PROBLEM = {"$ref": "#/components/schemas/Problem"}
REQUEST_ID = "req_200e5620e44bc8e95b300acc3c7937cd"

_RETRY_AFTER = {
    "Retry-After": {
        "description": "After how many seconds a new try may succeed.",
        "schema": {"type": "integer"},
    }
}


@dataclass(frozen=True, slots=True)
class Description:
    """What a door says of a route for the document. The endpoint's docstring says the rest.

    Attributes:
        summary: what the route is for, in a few words.
        takes: an example of the body; None: it needs none.
        gives: an example of the usual answer; None: that has no body.
        headers: an example of each header that is the point of the usual answer.
        body: the JSON schema of a body that the endpoint reads itself, or None.
    """

    summary: str
    takes: Mapping[str, object] | None = None
    gives: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None


class Problem(BaseModel):
    """The JSON body of every refusal."""

    model_config = ConfigDict(title="Problem")

    code: str = Field(description="The name of the refusal, for programs; never changes.")
    message: str = Field(description="The text for people.")
    field: str | None = Field(default=None, description="The field that was refused, if it is one.")
    request_id: str = Field(description="The id of this request in the server's log.")


def refused(refusals: Iterable[type[Refusal]]) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` argument of FastAPI for these refusals, grouped by status.

    Each refusal has an example: the body that it is answered with.
    """
    grouped: dict[int | str, list[Refusal]] = {}
    for refusal in dict.fromkeys(refusals):
        grouped.setdefault(status_of(refusal), []).append(refusal())
    return {status: _refused_with(grouped[status]) for status in sorted(grouped, key=int)}


def described(route: Description, rule: Rule, answer: type[Response]) -> dict[str, Any]:
    """Return what is added to FastAPI's own description of a route.

    Args:
        route: what its door says of it.
        rule: who may call it.
        answer: the class of its answer.
    """
    sent = ({"schema": route.body} if route.body else {}) | (
        {"example": route.takes} if route.takes else {}
    )
    body = {"requestBody": {"content": {JSON: sent}}} if sent else {}
    usual: dict[str, Any] = {}
    if route.gives is not None:
        text = {"schema": {"type": "string"}} if isinstance(route.gives, str) else {}
        usual["content"] = {answer.media_type or "text/plain": {**text, "example": route.gives}}
    if route.headers:
        usual["headers"] = {
            name: {"schema": {"type": "string"}, "example": value}
            for name, value in route.headers.items()
        }
    return _security(rule) | body | {"responses": {"200": usual}}


def _refused_with(refusals: list[Refusal]) -> dict[str, Any]:
    """Return the answer of one status: what each code means, and an example of each."""
    lines = [f"`{refusal.code}`: {refusal.default}" for refusal in refusals]
    examples = {refusal.code: {"value": refusal_body(refusal, REQUEST_ID)} for refusal in refusals}
    waits = any(isinstance(refusal, TooMany | Unavailable) for refusal in refusals)
    return {
        "description": "  \n".join(lines),
        "content": {JSON: {"schema": PROBLEM, "examples": examples}},
        **({"headers": _RETRY_AFTER} if waits else {}),
    }


def _security(rule: Rule) -> dict[str, Any]:
    if rule.public:
        return {"security": []}
    return {
        "security": [{"bearer": []}, {"xAccessToken": []}, {"cookie": []}],
        "x-gatelodge-rule": rule.name,
    }
