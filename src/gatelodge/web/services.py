"""How a door gets a service: by its type, from the list that the application was built with."""

from collections.abc import Mapping
from typing import Any, TypeVar

from fastapi import Depends
from starlette.requests import Request

T = TypeVar("T")

Services = Mapping[type[Any], Any]
"""All services, by type."""


def Provided(kind: type[T]) -> Any:  # noqa: N802 - used like `Depends`
    """Return a FastAPI dependency on the service of this type."""

    async def provide(request: Request) -> T:
        service: T = service_of(request, kind)
        return service

    return Depends(provide)


def service_of(request: Request, kind: type[T]) -> T:
    """Return the service of this type that the application was built with."""
    service: T = request.app.state.services[kind]
    return service
