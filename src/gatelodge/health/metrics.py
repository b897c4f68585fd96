"""Access to the metrics of this worker: only with the token from the settings."""

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from gatelodge.credentials.hashing_pool import HashingPool
from gatelodge.errors import NoSuchRoute
from gatelodge.gate.gate import Gate

if TYPE_CHECKING:  # imports prometheus-client, which is needed only with metrics
    from gatelodge.health.numbers import Numbers


@dataclass(frozen=True, slots=True)
class Metrics:
    """Returns the numbers to scrapers that present the token.

    Attributes:
        token: the token that a scraper must present.
        numbers: the numbers, or None if metrics are off.
    """

    token: str = field(repr=False)
    numbers: "Numbers | None"

    @classmethod
    def of(cls, token: str, gate: Gate, pool: HashingPool) -> Self:
        """Return the metrics with this token; an empty token turns them off."""
        if not token:
            return cls(token, None)
        from gatelodge.health.numbers import Numbers  # noqa: PLC0415 - only when chosen

        return cls(token, Numbers(gate, pool))

    def expose(self, presented: str | None) -> bytes:
        """Return the numbers of this worker in Prometheus' text format.

        Args:
            presented: the token of the request, or None.

        Raises:
            NoSuchRoute: metrics are off, or the token is wrong.
        """
        if self.numbers is None or not hmac.compare_digest(
            (presented or "").encode(), self.token.encode()
        ):
            raise NoSuchRoute
        return self.numbers.write()
