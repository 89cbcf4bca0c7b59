"""What a gateway process is made of."""

from dataclasses import dataclass

import schemas
from pipeline.http.keys import KeyRing
from pipeline.registry.of_run import id_of_version_1, open_registry, subject_of
from pipeline.settings import Settings
from producers.gateway.audit import Audit
from producers.gateway.breaker import Breaker, Policy
from producers.gateway.calls import Calls
from producers.gateway.loop_state import LoopState
from producers.gateway.metrics import GatewayMetrics
from producers.gateway.publish import KafkaPublisher
from producers.gateway.refusals import AuditThread
from producers.gateway.state import State

AUDIT_SECONDS = 2.0


@dataclass(frozen=True)
class Parts:
    """All of it; `calls` holds most."""

    settings: Settings
    keys: KeyRing
    state: LoopState
    publisher: KafkaPublisher
    breaker: Breaker
    metrics: GatewayMetrics
    audit: AuditThread
    calls: Calls

    def close(self) -> None:
        """When the last call is answered."""
        self.state.close()
        self.audit.close(AUDIT_SECONDS)


def parts_of(settings: Settings) -> Parts:
    """Made, not started: no broker need be there. Raises ListeningError as registry, keys and state do."""
    schema_id = id_of_version_1(open_registry(settings), subject_of(settings, schemas.EVENTS_SUBJECT))
    keys = KeyRing(settings.keys_file)
    state = LoopState(State(settings.gateway_dir / "state.sqlite"))
    publisher, breaker, metrics = KafkaPublisher(settings, schema_id), Breaker(Policy()), GatewayMetrics()
    calls = Calls(settings, state, publisher, breaker, metrics)
    audit = AuditThread(Audit(settings.gateway_dir / "audit"))
    return Parts(settings, keys, state, publisher, breaker, metrics, audit, calls)
