"""Quality values: the weights in headers such as `Accept` and `Accept-Language`."""

import re

MAX_RANGES = 32

_RANGE = re.compile(r"\s*([^\s;,]+)\s*((?:;[^;]*)*)")
_WEIGHT = re.compile(r";\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*(?=;|$)", re.IGNORECASE)
_ANY_WEIGHT = re.compile(r";\s*q\s*=", re.IGNORECASE)


def weights_in(header: str) -> dict[str, float]:
    """Return the weight of each range in a header, from 0 to 1, the highest weight first.

    Names are in lower case. A range with a malformed weight is left out. Ranges after the first 32
    are ignored. Source: RFC 9110, section 12.4.2.
    """
    weights = {}
    for part in header.split(",")[:MAX_RANGES]:
        found = _RANGE.fullmatch(part)
        if found is None:
            continue
        weight = _WEIGHT.search(found[2])
        if weight is None and _ANY_WEIGHT.search(found[2]):
            continue
        weights[found[1].lower()] = float(weight[1]) if weight else 1.0
    return dict(sorted(weights.items(), key=lambda pair: -pair[1]))
