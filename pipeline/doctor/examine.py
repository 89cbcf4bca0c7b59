"""Runs every check: facts are gathered, then judged; one that can't be made says so, and none keeps another from being made.

processes, store, Kafka (asked once each) ─► a check a subject: facts ─► findings ─► worst first
"""

import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from deploy.embedded.broker_files import broker_dir
from pipeline.doctor import (
    broker,
    folder,
    lag,
    letters,
    packages,
    ports,
    registry,
    replication,
    rules,
    store,
    topics,
    watermarks,
    workers,
)
from pipeline.doctor.findings import Finding, ranked
from pipeline.doctor.kafka import Kafka
from pipeline.errors import ListeningError, UnavailableError
from pipeline.settings import Settings


def examine(settings: Settings) -> list[Finding]:
    """All findings of the run, worst subjects first. Read-only, and within some 15 seconds whatever is away."""
    patient = Patient(settings)
    now = int(time.time() * 1000)
    checks: tuple[tuple[str, Callable[[], list[Finding]]], ...] = (
        (workers.SUBJECT, lambda: workers.judge(patient.workers)),
        (broker.SUBJECT, lambda: _broker(patient, now)),
        (topics.SUBJECT, lambda: topics.judge(topics.gather(patient.kafka), settings)),
        (replication.SUBJECT, lambda: replication.judge(replication.gather(patient.kafka))),
        (rules.SUBJECT, lambda: rules.judge(rules.gather(patient.kafka), settings)),
        (lag.SUBJECT, lambda: lag.judge(patient.lag, settings, up=patient.is_up)),
        (watermarks.SUBJECT, lambda: _watermarks(patient, now)),
        (letters.SUBJECT, lambda: letters.judge(letters.gather(patient.kafka), settings.run)),
        (store.SUBJECT, lambda: store.judge(patient.store, settings, up=patient.is_up)),
        (ports.SUBJECT, lambda: ports.judge(ports.gather(settings, patient.cluster_id, patient.store))),
        (folder.SUBJECT, lambda: folder.judge(folder.gather(settings.data_dir, _filling(settings)))),
        (packages.SUBJECT, lambda: packages.judge(packages.gather())),
        (registry.SUBJECT, lambda: registry.judge(registry.gather(settings))),
    )
    return ranked(finding for subject, check in checks for finding in made(subject, check))


def made(subject: str, check: Callable[[], list[Finding]]) -> list[Finding]:
    """The check's findings, or the one that says why it could not be made."""
    try:
        return check()
    except ListeningError as error:
        return [Finding("note", subject, f"not checked: {error}")]
    except Exception as error:  # a doctor that falls ill keeps quiet about everything else, so it says this instead
        found = f"not checked, the check itself failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        return [Finding("warning", subject, found, "this is a defect of `listening doctor`: please report it")]


class Patient:
    """What several checks look at, gathered once, when first asked for."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def kafka(self) -> Kafka:
        """Raises UnavailableError where no broker answers."""
        if isinstance(self._reached, str):
            raise UnavailableError(self._reached)
        return self._reached

    @cached_property
    def _reached(self) -> Kafka | str:
        """The cluster, or why there is none: it is waited for once."""
        try:
            return Kafka(self.settings)
        except UnavailableError as error:
            return str(error)

    @cached_property
    def workers(self) -> workers.WorkerFacts:
        return workers.gather(self.settings)

    @cached_property
    def store(self) -> store.StoreFacts:
        return store.gather(self.settings)

    @cached_property
    def lag(self) -> lag.LagFacts:
        """Raises UnavailableError."""
        return lag.gather(self.kafka, store_up=self.store.run == self.settings.run)

    @property
    def is_up(self) -> bool:
        """Whether this run's processes are under a living `listening up`."""
        return self.workers.up is not None and any(worker.alive for worker in self.workers.workers)

    @property
    def cluster_id(self) -> str | None:
        try:
            return self.kafka.cluster.id
        except UnavailableError:
            return None


def _filling(settings: Settings) -> list[Path]:
    return [broker_dir(settings) / "data", settings.store_dir]


def _broker(patient: Patient, now_ms: int) -> list[Finding]:
    try:
        kafka = patient.kafka
    except UnavailableError as error:
        return broker.judge_absence(patient.settings, str(error), up=patient.workers.up is not None)
    return broker.judge(broker.gather(kafka), now_ms)


def _watermarks(patient: Patient, now_ms: int) -> list[Finding]:
    facts = watermarks.gather(patient.kafka, patient.lag)
    return watermarks.judge(facts, patient.settings.rules, patient.settings.run, now_ms)
