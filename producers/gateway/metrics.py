"""What a gateway process counts, in Prometheus' text format at GET /metrics."""

from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from producers.gateway.breaker import Breaker

Outcome = Literal["accepted", "refused", "failed", "unknown"]
OUTCOMES: tuple[Outcome, ...] = ("accepted", "refused", "failed", "unknown")
STATES = ("closed", "open", "half_open")
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class GatewayMetrics:
    """Of one process, since it started."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._calls = Counter(
            "listening_gateway_calls", "Calls that publish, by HTTP status", ["status"], registry=self.registry
        )
        self._events = Counter("listening_gateway_events", "Items by outcome", ["outcome"], registry=self.registry)
        self._seconds = Histogram(
            "listening_gateway_call_seconds", "From a call's headers to its answer", buckets=BUCKETS, registry=self.registry
        )
        self._in_flight = Gauge(
            "listening_gateway_in_flight_events", "Events that Kafka has not answered for", registry=self.registry
        )
        self._breaker = Gauge(
            "listening_gateway_breaker_state", "1 for the breaker's state", ["state"], registry=self.registry
        )
        self._audit = Gauge(
            "listening_gateway_audit_dropped_lines", "Refusals that came too fast to be written", registry=self.registry
        )
        for outcome in OUTCOMES:
            self._events.labels(outcome)

    def count(self, outcome: str, events: int) -> None:
        self._events.labels(outcome).inc(events)

    def answered(self, status: int, seconds: float) -> None:
        self._calls.labels(str(status)).inc()
        self._seconds.observe(seconds)

    def text(self, breaker: Breaker, in_flight: int, audit_dropped: int) -> bytes:
        """All of it, now."""
        self._in_flight.set(in_flight)
        self._audit.set(audit_dropped)
        for state in STATES:
            self._breaker.labels(state).set(state == breaker.state)
        return generate_latest(self.registry)
