"""Requests that a route may answer."""

from collections.abc import Iterator

from gatelodge.routes.samples import samples_of, usual_values
from gatelodge.routes.tree import ANY, WEBSOCKET, Leaf
from gatelodge.web.shell import Scope

SOME_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND")
"""They stand for all methods; the last is one that nobody declares."""

_USUAL_HOST = "host.invalid"


def requests_for(leaf: Leaf) -> Iterator[tuple[str, str, Scope]]:
    """Yield requests for a route: the method, the path, and the scope."""
    methods = SOME_METHODS if leaf.method == ANY else (leaf.method,)
    hosts = list(samples_of(leaf.host)) if leaf.host else [_USUAL_HOST]
    for path in samples_of(leaf.path or "/", usual_values(leaf.annotations)):
        for host in hosts:
            for method in methods:
                yield method, path, _scope(method, path, host)


def _scope(method: str, path: str, host: str) -> Scope:
    common: Scope = {
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", host.encode())],
    }
    if method == WEBSOCKET:
        return {"type": "websocket", "scheme": "ws", "subprotocols": [], **common}
    return {"type": "http", "scheme": "http", "method": method, **common}
