"""The benchmark: what a request costs, how fast people sign in, how the server starts."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The folder that this package is imported from."""
