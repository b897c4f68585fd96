"""What this worker can say of itself in numbers, for Prometheus."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gatelodge.credentials.hashing_pool import HashingPool
from gatelodge.gate.gate import Gate


@dataclass(frozen=True, slots=True, eq=False)
class Numbers(Collector):
    """Read the numbers when they are asked for; nothing is counted on the way of a request."""

    gate: Gate
    pool: HashingPool
    _registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        """Join what the process itself can tell."""
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def write(self) -> bytes:
        """Return them all in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield each number; called by the registry."""
        feed = self.gate.feed.state()
        yield _gauge("feed_trusted", "Whether checks are answered from memory.", feed.trusted)
        if feed.lag is not None:
            yield _gauge("feed_lag_seconds", "Since the change stream was heard of.", feed.lag)
        yield _gauge("remembered_sessions", "Sessions that memory knows.", len(self.gate.view))
        yield _gauge("remembered_tokens", "Tokens verified before.", len(self.gate.tokens))
        pool = self.pool
        yield _gauge("hashing_threads", "Passwords that may be hashed at once.", pool.threads)
        yield _gauge("hashing_running", "Passwords being hashed now.", pool.running)
        yield _gauge("hashing_waiting", "Passwords that wait to be hashed.", pool.waiting)
        yield _counter("hashing_finished", "Passwords hashed.", pool.finished)
        yield _counter("hashing_refused", "Refused since the queue was full.", pool.refused)
        yield _counter("hashing_abandoned", "Given up by clients that left.", pool.abandoned)


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"gatelodge_{name}", help_text, value=value)


def _counter(name: str, help_text: str, value: float) -> Metric:
    return CounterMetricFamily(f"gatelodge_{name}", help_text, value=value)
