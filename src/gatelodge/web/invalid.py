"""The refusal of a body or a parameter that is not valid."""

from collections.abc import Mapping, Sequence
from typing import Any

from gatelodge.errors import InvalidRequest
from gatelodge.verdicts import MAX_NAME, sentence, subject_of, verdict_on

_NO_OBJECT = "The body must be a JSON object."


def invalid_request(errors: Sequence[Mapping[str, Any]]) -> InvalidRequest:
    """Return the refusal for what Pydantic found; it names the first field that is wrong.

    Args:
        errors: what Pydantic found, as FastAPI passes it on.
    """
    first = errors[0]
    where = first["loc"][1:]
    if not where or first["type"].startswith("json"):
        missing = first["type"] == "missing"
        return InvalidRequest("The body is missing." if missing else _NO_OBJECT)
    kind = "field" if first["loc"][0] == "body" else "parameter"
    field = str(where[0])[:MAX_NAME]
    subject = subject_of(f'the {kind} "{field}"', where[1:])
    return InvalidRequest(sentence(subject, verdict_on(first)), field=field)
