"""Whether a request prefers HTML (a browser) or JSON (a program)."""

from gatelodge.quality import weights_in
from gatelodge.web.shell import Headers

_HTML = ("text/html", "text/*", "*/*")
_JSON = ("application/json", "application/*", "*/*")


def prefers_page(headers: Headers) -> bool:
    """Say whether the `Accept` header prefers HTML to JSON.

    Without the header, or if both have the same weight (curl sends `*/*`), the answer is no: the
    clients of the tutorial expect JSON then.
    """
    values = [value.decode("latin-1") for name, value in headers if name == b"accept"]
    weights = weights_in(",".join(values))
    return _weight(weights, _HTML) > _weight(weights, _JSON)


def _weight(weights: dict[str, float], ranges: tuple[str, ...]) -> float:
    """Return the weight of the first of these ranges that the header has; 0 if it has none."""
    return next((weights[each] for each in ranges if each in weights), 0.0)
