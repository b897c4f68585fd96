"""Paths and hosts that requests for a route may have."""

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any, Literal, get_args, get_origin
from uuid import UUID

from starlette.convertors import CONVERTOR_TYPES

_PARAMETER = re.compile(r"{([a-zA-Z_]\w*)(?::([a-zA-Z_]\w*))?}")

_VALUES = (
    "1",
    "sample",
    "7f6b1c52-1d0e-4c8e-9a43-0f6f2f7c9b11",
    "2026-01-31",
    "1.5",
    "Z~q.x y_!-",
    "a/b",
    "q/w/e/r/t/y.z",
    "70392",
    "0d3c64a8-5f52-4f0e-b7cf-95d6b8c0f3e4",
)
"""Values that differ in form, so that one of them fits, and one is caught by no narrower route."""


_BY_TYPE: Mapping[Any, str] = {
    int: "1",
    float: "1.5",
    bool: "true",
    UUID: _VALUES[2],
    date: _VALUES[3],
    datetime: f"{_VALUES[3]}T12:00:00Z",
}


def without_names(path: str) -> str:
    """Return a path as it is without the names of its parameters, which say nothing."""
    return _PARAMETER.sub(lambda found: f"{{:{found[2]}}}" if found[2] else "{}", path)


def usual_values(annotations: Mapping[str, Any]) -> dict[str, str]:
    """Return a value for each path parameter whose type lets only some values in.

    Args:
        annotations: the types of the parameters, by name.
    """
    found = {name: _value_of(annotation) for name, annotation in annotations.items()}
    return {name: value for name, value in found.items() if value}


def _value_of(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Literal:
        return str(get_args(annotation)[0])
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return str(next(iter(annotation)).value)
    return _BY_TYPE.get(annotation, "")


def samples_of(template: str, usual: Mapping[str, str] | None = None) -> Iterator[str]:
    """Yield paths, or hosts, that fit a template such as `/notes/{id:int}`.

    Args:
        template: the path as declared.
        usual: values that are tried first, by the name of the parameter.
    """
    values = {
        name: _values_for(convertor or "str", (usual or {}).get(name))
        for name, convertor in _PARAMETER.findall(template)
    }
    most = max((len(each) for each in values.values()), default=1)
    for number in range(most):
        chosen = {name: each[min(number, len(each) - 1)] for name, each in values.items()}
        yield _PARAMETER.sub(lambda found, chosen=chosen: chosen[found[1]], template)  # type: ignore[misc]


def _values_for(convertor: str, usual: str | None) -> list[str]:
    known: Any = CONVERTOR_TYPES.get(convertor)
    pattern = re.compile(known.regex if known else "[^/]+")
    values = [usual, *_VALUES] if usual else list(_VALUES)
    return [value for value in values if pattern.fullmatch(value)] or ["1"]
