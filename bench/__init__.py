"""The benchmark: what a request costs, how many people can sign in, how fast the server starts."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The folder of the repository: it holds this package."""
