"""The pytest plugin: tests of an application that has Gatelodge inside it.

pytest finds `plugin.py` by its entry point, and imports nothing else until a test asks for a
fixture. The fixture `gatelodge` finds the application and its `Gatelodge` (`apps.py`), points it at
a temporary database and at a clock that the test moves (`clock.py`), and opens a second house over
the same database (`staff.py`). Users are made and changed there, as by another process. So the
fixtures work alike in tests with and without an event loop. It also sends the letters, and catches
them (`letters.py`). A client (`clients.py`) starts the application when it sends its first request.
`authenticator.py` is a browser with passkeys.

Above: nothing. Below: `fastapi/` and `embedded/`, which the application uses, and `app.py`, which
builds houses.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gatelodge.testing.authenticator import SoftwareAuthenticator
    from gatelodge.testing.clients import Client, UserClient
    from gatelodge.testing.fixture import AsUser, GatelodgeFixture, TotpNow, Travel, Who
    from gatelodge.testing.letters import Letter, Letters

__all__ = [
    "AsUser",
    "Client",
    "GatelodgeFixture",
    "Letter",
    "Letters",
    "SoftwareAuthenticator",
    "TotpNow",
    "Travel",
    "UserClient",
    "Who",
]


_MODULES = {
    "Client": "clients",
    "Letter": "letters",
    "Letters": "letters",
    "SoftwareAuthenticator": "authenticator",
    "UserClient": "clients",
}


def __getattr__(name: str) -> Any:
    """Import a class when somebody asks for it: pytest imports this module in every project."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _MODULES.get(name, "fixture")
    return getattr(import_module(f"{__name__}.{module}"), name)
