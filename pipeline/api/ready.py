"""What the run needs, and whether each of it is well: one judgement for /v1/ready and the state."""

from pipeline.api.documents import Dependencies, Dependency
from pipeline.api.kafka import STAGES, KafkaFacts
from pipeline.settings import Settings


def dependencies(settings: Settings, kafka: KafkaFacts | None, troubles: dict[str, str]) -> Dependencies:
    """`troubles`: dependency → why it isn't well. Whether a stage is at work is Kafka's to tell."""
    found = dict(troubles)
    for stage in STAGES:
        if troubles.get("kafka") or kafka is None:
            found[stage] = "can't be told without Kafka"
        elif stage not in kafka.at_work:
            found[stage] = f"no {stage} is at work: `listening doctor --run {settings.run}` says more"
    names = Dependencies.model_fields
    return Dependencies(**{name: Dependency(ok=not found.get(name), reason=found.get(name, "")) for name in names})


def reasons(all_: Dependencies) -> list[str]:
    """Why the run isn't ready; empty where it is."""
    found = {name: getattr(all_, name) for name in Dependencies.model_fields}
    return [f"{name}: {one.reason}" for name, one in found.items() if not one.ok]
