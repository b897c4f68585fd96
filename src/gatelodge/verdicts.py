"""What is wrong with a value, in sentences of our own: for bodies, parameters and settings.

Pydantic's sentences are for Python programmers ("Input should be a valid dictionary or instance of
SignInRequest"), and change with its releases.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

MAX_NAME = 64
"""How many characters of a name a sentence repeats; an unknown name may be long."""

_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}

_Context = Mapping[str, Any]


def verdict_on(error: Mapping[str, Any]) -> str:
    """Return what is wrong with a value, as the rest of a sentence: `must be a text.`.

    Args:
        error: what Pydantic found.
    """
    verdict = _VERDICTS.get(error["type"], "is not valid.")
    return verdict if isinstance(verdict, str) else verdict(error.get("ctx", {}))


def subject_of(name: str, inside: Sequence[int | str]) -> str:
    """Return what is wrong: the value, or the entry of a list or the member of an object in it."""
    for part in inside:
        if isinstance(part, int):
            name = f"entry {part + 1} of {name}"
        else:
            name = f'"{part[:MAX_NAME]}" in {name}'
    return name


def sentence(subject: str, verdict: str) -> str:
    """Return a sentence of a subject and a verdict."""
    return f"{subject[0].upper()}{subject[1:]} {verdict}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was probably meant; None if none is similar."""
    found = difflib.get_close_matches(name, sorted(known), n=1)
    return found[0] if found else None


def is_meant(name: str, known: Iterable[str]) -> str:
    """Return a question after a sentence, ` Is … meant?`; empty if no known name is similar."""
    near = nearest(name, known)
    return f" Is {near} meant?" if near else ""


def written(limit: object) -> str:
    """Return a limit as people write it: a number, or a duration such as `10m`."""
    if not isinstance(limit, timedelta):
        return str(limit)
    for unit, length in _UNITS.items():
        if limit and not limit % length:
            return f"{limit // length}{unit}"
    return f"{limit // timedelta(seconds=1)}s"


def _count(number: int, thing: str) -> str:
    """Return a number with what it counts: `1 character`, `2 characters`."""
    several = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{number} {thing if number == 1 else several}"


def _at_most(limit: str, thing: str) -> Callable[[_Context], str]:
    return lambda context: f"must have at most {_count(context[limit], thing)}."


def _at_least(limit: str, thing: str) -> Callable[[_Context], str]:
    return lambda context: f"must have at least {_count(context[limit], thing)}."


def _bound(words: str, limit: str) -> Callable[[_Context], str]:
    return lambda context: f"must be {words} {written(context[limit])}."


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
    "string_unicode": "must be a text in UTF-8.",
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
    "greater_than": _bound("more than", "gt"),
    "greater_than_equal": _bound("at least", "ge"),
    "less_than": _bound("less than", "lt"),
    "less_than_equal": _bound("at most", "le"),
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
"""What is wrong with a value, by Pydantic's name of the error."""
