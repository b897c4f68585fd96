"""Who may see this worker's numbers."""

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from gatelodge.credentials.hashing_pool import HashingPool
from gatelodge.errors import NoSuchRoute
from gatelodge.gate.gate import Gate

if TYPE_CHECKING:  # brings prometheus-client, which is imported where there are metrics
    from gatelodge.health.numbers import Numbers


@dataclass(frozen=True, slots=True)
class Metrics:
    """Give the numbers to scrapers that present the token.

    Attributes:
        token: what a scraper must present.
        numbers: None: there are no metrics at all.
    """

    token: str = field(repr=False)
    numbers: "Numbers | None"

    @classmethod
    def of(cls, token: str, gate: Gate, pool: HashingPool) -> Self:
        """Return the metrics under this token; an empty one turns them off."""
        if not token:
            return cls(token, None)
        from gatelodge.health.numbers import Numbers  # noqa: PLC0415 - only when chosen

        return cls(token, Numbers(gate, pool))

    def expose(self, presented: str | None) -> bytes:
        """Return the numbers of this worker in Prometheus' text format.

        Raises:
            NoSuchRoute: no token is configured, or another one is presented.
        """
        if self.numbers is None or not hmac.compare_digest(
            (presented or "").encode(), self.token.encode()
        ):
            raise NoSuchRoute
        return self.numbers.write()
