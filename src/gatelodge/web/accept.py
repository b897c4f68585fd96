"""Whether whoever asks is a browser that shows a page, or a program that reads JSON."""

from gatelodge.quality import weights_in
from gatelodge.web.shell import Headers

_HTML = ("text/html", "text/*", "*/*")
_JSON = ("application/json", "application/*", "*/*")


def prefers_page(headers: Headers) -> bool:
    """Say whether HTML is wanted more than JSON.

    Without `Accept`, or with one that likes both alike (`*/*`, as curl sends it), the answer is
    no: programs for the tutorial's server expect JSON from it.
    """
    values = [value.decode("latin-1") for name, value in headers if name == b"accept"]
    weights = weights_in(",".join(values))
    return _weight(weights, _HTML) > _weight(weights, _JSON)


def _weight(weights: dict[str, float], ranges: tuple[str, ...]) -> float:
    """Return the weight of the most specific of these ranges that was given."""
    return next((weights[each] for each in ranges if each in weights), 0.0)
