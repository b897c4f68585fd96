"""Finds the guards of a route among all dependencies that FastAPI solves for it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_dependant

from gatelodge.gate.conditions import Condition
from gatelodge.gate.rules import SIGNED_IN
from gatelodge.routes.access import Access

Overrides: TypeAlias = Mapping[Callable[..., Any], Callable[..., Any]]
"""`app.dependency_overrides`: what is called instead of a dependency."""


@dataclass(frozen=True, slots=True)
class Guards:
    """The guards of a route.

    Attributes:
        declared: what they require, as the route declares them; None: it has none.
        overridden: the names of the guards that `dependency_overrides` take out.
    """

    declared: Access | None = None
    overridden: tuple[str, ...] = ()

    @classmethod
    def of(cls, dependant: Dependant | None, overrides: Overrides) -> "Guards":
        """Return the guards among the dependencies of a route, and of these.

        Args:
            dependant: what FastAPI solves for a request; it holds the dependencies of the
                application, of the routers, and of the route.
            overrides: what replaces dependencies.
        """
        if dependant is None:
            return cls()
        declared = list(_found(dependant, {}, ()))
        asked = {id(guard) for guard in _found(dependant, overrides, ())}
        lost = [guard.condition for guard in declared if id(guard) not in asked]
        names = dict.fromkeys(_words(each) for each in lost if not each.rule.public)
        if len(names) > 1:  # every other guard asks for the user too
            names.pop(SIGNED_IN.name, None)
        return cls(Access.of(guard.condition for guard in declared), tuple(names))


UNGUARDED = Guards()
"""No guards: nobody says who may call."""


def _found(dependant: Dependant, overrides: Overrides, above: tuple[Any, ...]) -> Iterator[Any]:
    """Yield every guard below a dependant, as FastAPI would call them."""
    for below in dependant.dependencies:
        call = below.call
        if call is not None and call in overrides:
            call = overrides[call]
            below = get_dependant(path=below.path or "", call=call)  # noqa: PLW2901
        if call in above:  # an override that needs what it replaces: FastAPI never ends
            continue
        if isinstance(getattr(call, "condition", None), Condition):
            yield call
        yield from _found(below, overrides, (*above, call))


def _words(condition: Condition) -> str:
    access = Access.of([condition])
    assert access is not None, "there is a rule"  # noqa: S101
    return access.words
