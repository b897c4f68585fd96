"""Whether whoever asks is a browser that shows a page, or a program that reads JSON."""

import re

from gatelodge.web.shell import Headers

_RANGE = re.compile(r"\s*([\w.+*-]+/[\w.+*-]+)\s*((?:;[^;]*)*)")
_WEIGHT = re.compile(r";\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*(?=;|$)")
_MAX_RANGES = 32

_HTML = ("text/html", "text/*", "*/*")
_JSON = ("application/json", "application/*", "*/*")


def prefers_page(headers: Headers) -> bool:
    """Say whether HTML is wanted more than JSON.

    Without `Accept`, or with one that likes both alike (`*/*`, as curl sends it), the answer is
    no: programs for the tutorial's server expect JSON from it.
    """
    values = [value.decode("latin-1") for name, value in headers if name == b"accept"]
    weights = _weights(",".join(values))
    return _weight(weights, _HTML) > _weight(weights, _JSON)


def _weights(accept: str) -> dict[str, float]:
    """Return how much each range is wanted (RFC 9110, 12.5.1)."""
    weights = {}
    for part in accept.split(",")[:_MAX_RANGES]:
        if found := _RANGE.fullmatch(part):
            weight = _WEIGHT.search(found[2])
            weights[found[1].lower()] = float(weight[1]) if weight else 1.0
    return weights


def _weight(weights: dict[str, float], ranges: tuple[str, ...]) -> float:
    """Return the weight of the most specific of these ranges that was given."""
    return next((weights[each] for each in ranges if each in weights), 0.0)
