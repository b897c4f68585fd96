"""Shows who may call each route of an application, and proves that it is so.

`tree.py` walks the real routes of an application (`walk`), and knows which of them answers a
request. `guards.py` finds our guards among the dependencies of a route, and `layers.py` our
middleware around it; `access.py` joins their rules, and `parts.py` divides a route where declared
routes do. `report.py` says of each route who may call it, or what is wrong (`examine`).
`changes.py` compares two such reports. `prove.py` starts the application beside a temporary
database, and calls every route as every kind of caller (`callers.py`, `calls.py`). The commands
stand in `cli/routes.py`; a test asks `assert_guarded`.
"""

from collections.abc import Collection
from typing import Any

from gatelodge.routes.report import examine, problems_of

__all__ = ["assert_guarded"]


def assert_guarded(app: Any, *, public: Collection[str] = ()) -> None:
    """Check that somebody says of each route of an application who may call it.

    It is `gatelodge routes check` for a test::

        def test_every_route_is_guarded() -> None:
            assert_guarded(app, public=["/static/*"])

    Args:
        app: the application.
        public: paths that anybody may call, for what can have no dependency, such as mounted static
            files: as `routes check` shows them, or with `*` for any text.

    Raises:
        AssertionError: of a route nobody does, or its guard has no effect; it names each.
        ConfigurationError: the application is of no known kind, or a path in `public` fits no route
            that has no rule.
    """
    problems = problems_of(examine(app, public=public))
    if problems:
        named = [
            f"{line.method} {line.shown_path} ({line.where}): {line.words}" for line in problems
        ]
        raise AssertionError("\n".join(["These routes are not guarded:", *named]))
