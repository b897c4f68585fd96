"""A JSON parser that refuses what two parsers could read differently (security.md, section 9)."""

import json
import math
from typing import Any, NoReturn

MAX_DEPTH = 16
MAX_KEYS = 64
MAX_DIGITS = 19


class NotStrict(ValueError):
    """The text is not JSON, or two JSON parsers could read it differently."""


def parse(body: bytes) -> Any:
    """Return the JSON value of the body of a request, or of a part of a token.

    Raises:
        ValueError: the body is not UTF-8, not JSON, has a key twice, or exceeds a limit; the
            message says which.
    """
    try:
        text = body.decode("utf-8")
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_constant,
        )
    except NotStrict:
        raise
    except UnicodeDecodeError as error:
        raise NotStrict("The body is not UTF-8.") from error
    except RecursionError as error:
        raise NotStrict("The body is nested too deeply.") from error
    except ValueError as error:
        raise NotStrict("The body is not JSON.") from error
    _check(value, depth=1)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MAX_KEYS:
        raise NotStrict("An object in the body has too many keys.")
    value = dict(pairs)
    if len(value) != len(pairs):
        raise NotStrict("An object in the body has the same key twice.")
    return value


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise NotStrict("A number in the body has too many digits.")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if len(digits) > 2 * MAX_DIGITS or not math.isfinite(value):
        raise NotStrict("A number in the body has too many digits or is too large.")
    return value


def _constant(name: str) -> NoReturn:
    raise NotStrict(f"{name} is not JSON.")


def _check(value: Any, depth: int) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        _check_items([*value, *value.values()], depth)
    elif isinstance(value, list):
        _check_items(value, depth)


def _check_items(items: list[Any], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise NotStrict("The body is nested too deeply.")
    for item in items:
        _check(item, depth + 1)


def _check_text(text: str) -> None:
    """Refuse NUL and lone surrogates, which databases and logs cannot store."""
    if "\0" in text or not _is_encodable(text):
        raise NotStrict("A text in the body has a character that is not allowed.")


def _is_encodable(text: str) -> bool:
    """Say whether UTF-8 can encode the text; it cannot encode a lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
