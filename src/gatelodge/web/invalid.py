"""The refusal of a body or a parameter that is not valid, in sentences of our own.

Pydantic's sentences are for Python programmers ("Input should be a valid dictionary or instance of
SignInRequest"), and change with its releases. Callers get ours.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gatelodge.errors import InvalidRequest

MAX_NAME = 64
"""How many characters of a field's name an answer repeats; an unknown name may be long."""

_NO_OBJECT = "The body must be a JSON object."

_Context = Mapping[str, Any]


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
    subject = _subject(f'the {kind} "{field}"', where[1:])
    verdict = _VERDICTS.get(first["type"], "is not valid.")
    said = verdict if isinstance(verdict, str) else verdict(first.get("ctx", {}))
    return InvalidRequest(f"{subject[0].upper()}{subject[1:]} {said}", field=field)


def _subject(field: str, inside: Sequence[int | str]) -> str:
    """Return what is wrong: the field, or the entry of a list or the member of an object in it."""
    for part in inside:
        if isinstance(part, int):
            field = f"entry {part + 1} of {field}"
        else:
            field = f'"{part[:MAX_NAME]}" in {field}'
    return field


def _count(number: int, thing: str) -> str:
    """Return a number with what it counts: `1 character`, `2 characters`."""
    several = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{number} {thing if number == 1 else several}"


def _at_most(limit: str, thing: str) -> Callable[[_Context], str]:
    return lambda context: f"must have at most {_count(context[limit], thing)}."


def _at_least(limit: str, thing: str) -> Callable[[_Context], str]:
    return lambda context: f"must have at least {_count(context[limit], thing)}."


def _one_of(context: _Context) -> str:
    return f"must be {context['expected']}."


_TEXT = "must be a text."
_NUMBER = "must be a number."
_WHOLE = "must be a whole number."
_LIST = "must be a list."
_OBJECT = "must be an object."
_TRUTH = "must be true or false."
_INSTANT = "must be a date and a time, such as 2026-01-31T12:00:00Z."

_VERDICTS: Mapping[str, str | Callable[[_Context], str]] = {
    "missing": "is missing.",
    "extra_forbidden": "is unknown here.",
    "string_type": _TEXT,
    "string_too_long": _at_most("max_length", "character"),
    "string_too_short": _at_least("min_length", "character"),
    "string_pattern_mismatch": "does not have the form that is asked for.",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": "has too many digits.",
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "greater_than": lambda context: f"must be more than {context['gt']}.",
    "greater_than_equal": lambda context: f"must be at least {context['ge']}.",
    "less_than": lambda context: f"must be less than {context['lt']}.",
    "less_than_equal": lambda context: f"must be at most {context['le']}.",
    "bool_type": _TRUTH,
    "bool_parsing": _TRUTH,
    "list_type": _LIST,
    "set_type": _LIST,
    "tuple_type": _LIST,
    "too_long": _at_most("max_length", "entry"),
    "too_short": _at_least("min_length", "entry"),
    "dict_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "enum": _one_of,
    "literal_error": _one_of,
    "datetime_type": _INSTANT,
    "datetime_parsing": _INSTANT,
    "datetime_from_date_parsing": _INSTANT,
    "timezone_aware": "must name its time zone, such as Z.",
}
"""What is wrong with a field, by Pydantic's name of the error."""
