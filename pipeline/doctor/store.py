"""The store: ready or why not, how far behind, which engine, and who holds its folder."""

import socket
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from pipeline.doctor.findings import Finding
from pipeline.doctor.system import is_locked, pid_in
from pipeline.errors import ListeningError, UnavailableError
from pipeline.settings import Settings
from pipeline.store import ask

SUBJECT = "store"
ANSWER_SECONDS = 2.0
DSN_PORT = 8123


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """`answers`: a store answered. `why_not`: else, why. `server`: host:port of LISTENING_CLICKHOUSE_DSN, empty for the
    embedded engine; `reached`: whether a connection is accepted there. `owner`: the pid written in store.lock,
    `locked`: some process holds the lock."""

    answers: bool = False
    why_not: str = ""
    run: str = ""
    reasons: tuple[str, ...] = ()
    lag: dict[str, int] = field(default_factory=dict)
    version: str = ""
    server: str = ""
    reached: bool = False
    owner: int | None = None
    locked: bool = False


def gather(settings: Settings) -> StoreFacts:
    """Asks the store; never raises for what it answers."""
    server, reached = _server(settings)
    lock = settings.run_dir / "store.lock"
    own = StoreFacts(server=server, reached=reached, owner=pid_in(lock), locked=is_locked(lock))
    try:
        answer = ask.ready(settings, seconds=ANSWER_SECONDS)
        topics = {str(kind): int(topic["lag"]) for kind, topic in answer["topics"].items()}
        run, reasons = str(answer["run"]), tuple(map(str, answer["reasons"]))
    except UnavailableError as error:
        return replace(own, why_not=str(error))
    except (ListeningError, ValueError, TypeError, KeyError, AttributeError):
        return replace(own, why_not=f"what answers at {settings.store_url} is no store")
    return replace(own, answers=True, run=run, reasons=reasons, lag=topics, version=str(answer.get("engine", "")))


def judge(facts: StoreFacts, settings: Settings, *, up: bool) -> list[Finding]:
    """`up`: this run's processes are up on this machine, so that its store should be."""
    findings = []
    if facts.server and not facts.reached:
        found = f"no connection is accepted at {facts.server}, the host and port of LISTENING_CLICKHOUSE_DSN"
        findings.append(Finding("problem", SUBJECT, found, "start that ClickHouse server, or correct the DSN"))
    if not facts.answers:
        return [*findings, *_away(facts, settings, up=up)]
    if facts.run != settings.run:
        found = f"the store at {settings.store_url} is that of run {facts.run}"
        remedy = f"ask with `--run {facts.run}`, or end that one before run {settings.run} is started"
        return [*findings, Finding("note", SUBJECT, f"{found}; {settings.run}'s is not up", remedy)]
    if facts.reasons:
        remedy = "it tries again by itself; if this stays, look at its log and at what it names"
        findings.append(Finding("warning", SUBJECT, f"it is not ready: {'; '.join(facts.reasons)}", remedy))
        return findings
    engine = f" on ClickHouse {facts.version}" if facts.version else ""
    behind = sum(facts.lag.values())
    found = f"ready at {settings.store_url}{engine}, {f'{behind:,} records' if behind else 'nothing'} behind"
    return [*findings, Finding("ok", SUBJECT, found)]


def _away(facts: StoreFacts, settings: Settings, *, up: bool) -> list[Finding]:
    found, _, start = facts.why_not.partition(": ")
    if facts.locked:
        found += f", but process {facts.owner or 'unknown'} holds {settings.run_dir / 'store.lock'}"
        remedy = "wait if it is starting; if its LISTENING_STORE_PORT is another, ask with that one; else end that process"
        return [Finding("warning", SUBJECT, f"not checked: {found}", remedy)]
    if up:
        remedy = f"its log, {settings.run_dir / 'logs' / 'store.log'}, says why"
        return [Finding("problem", SUBJECT, f"{found}, though the run is up", remedy)]
    return [Finding("note", SUBJECT, f"not checked: {found}", start or "see ports")]


def _server(settings: Settings) -> tuple[str, bool]:
    """host:port of the DSN, without user and password, and whether a connection is accepted there."""
    if not settings.clickhouse_dsn:
        return "", False
    try:
        parts = urlsplit(settings.clickhouse_dsn)
        host, port = parts.hostname or "localhost", parts.port or DSN_PORT
        with socket.create_connection((host, port), timeout=ANSWER_SECONDS):
            return f"{host}:{port}", True
    except ValueError:
        return "LISTENING_CLICKHOUSE_DSN (which is no URL)", False
    except OSError:
        return f"{host}:{port}", False
