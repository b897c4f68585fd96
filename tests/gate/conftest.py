"""The databases on which the gate is tested."""

from tests.contracts.conftest import address, mongodb_address
from tests.support.mongod import mongodb_url

__all__ = ["address", "mongodb_address", "mongodb_url"]
