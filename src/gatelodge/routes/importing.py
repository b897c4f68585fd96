"""Imports an application by its name, as uvicorn does."""

import importlib
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gatelodge.errors import ConfigurationError


def import_application(name: str, *, factory: bool = False) -> Any:
    """Return the application of this name; modules are also looked for in the current folder.

    Args:
        name: the module and the attribute, such as `yourapp:app`, or `yourapp:create_app()`.
        factory: whether the attribute is a function that returns the application.

    Raises:
        ConfigurationError: there is no such module or attribute, or it raises an exception.
    """
    module_name, _, attribute = name.partition(":")
    if attribute.endswith("()"):
        attribute, factory = attribute.removesuffix("()"), True
    if not module_name or not attribute:
        raise ConfigurationError(f'{name!r} names no application: write "module:attribute".')
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    module = _import(module_name)
    found = module
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise ConfigurationError(f"{module_name} has no {attribute}.") from None
    if factory:
        with _explained(f"{name} cannot be called"):
            found = found()
    if not callable(found):
        raise ConfigurationError(f"{name} is no application but a {type(found).__name__}.")
    return found


def _import(name: str) -> Any:
    try:
        with _explained(f"{name} cannot be imported"):
            return importlib.import_module(name)
    except ConfigurationError as error:
        missing = error.__cause__
        absent = missing.name if isinstance(missing, ModuleNotFoundError) else None
        if absent is None or not f"{name}.".startswith(f"{absent}."):
            raise
        raise ConfigurationError(
            f"There is no module {absent} in {Path.cwd()} or on the Python path."
        ) from None


@contextmanager
def _explained(failure: str) -> Iterator[None]:
    """Say in one sentence why a module of the application failed, and where."""
    try:
        yield
    except (Exception, SystemExit) as error:
        ours = str(Path(__file__).parent)
        frames = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if not frame.filename.startswith((ours, "<frozen importlib"))
            and "importlib" not in frame.filename
        ]
        place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
        raise ConfigurationError(f"{failure}: {type(error).__name__}: {error}{place}") from error
