"""The numbers of this worker, for Prometheus."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gatelodge.credentials.hashing_pool import HashingPool
from gatelodge.gate.gate import Gate


@dataclass(frozen=True, slots=True, eq=False)
class Numbers(Collector):
    """Collects the numbers when a scraper asks for them."""

    gate: Gate
    pool: HashingPool
    _registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        """Register these numbers, and those of the process (memory, CPU, files)."""
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def write(self) -> bytes:
        """Return all numbers in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield each number; the registry calls this."""
        feed = self.gate.feed.state()
        yield _gauge(
            "feed_trusted",
            "1: checks are answered from memory; 0: they read the database.",
            feed.trusted,
        )
        if feed.lag is not None:
            yield _gauge(
                "feed_lag_seconds", "Seconds since the last answer of the change stream.", feed.lag
            )
        yield _gauge(
            "remembered_tokens", "Verified tokens in the gate's memory.", len(self.gate.memory)
        )
        pool = self.pool
        yield _gauge("hashing_threads", "Threads that hash passwords.", pool.threads)
        yield _gauge("hashing_running", "Passwords being hashed now.", pool.running)
        yield _gauge("hashing_waiting", "Passwords that wait to be hashed.", pool.waiting)
        yield _counter("hashing_finished", "Passwords hashed.", pool.finished)
        yield _counter(
            "hashing_refused", "Passwords refused because the queue was full.", pool.refused
        )
        yield _counter(
            "hashing_abandoned",
            "Passwords whose request ended before a thread was free.",
            pool.abandoned,
        )


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"gatelodge_{name}", help_text, value=value)


def _counter(name: str, help_text: str, value: float) -> Metric:
    return CounterMetricFamily(f"gatelodge_{name}", help_text, value=value)
