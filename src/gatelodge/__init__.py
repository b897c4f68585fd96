"""Gatelodge: a login and authorization server and library."""

from importlib.metadata import version

__version__ = version("gatelodge")
