"""The run's processes on this machine, by what they left in its folder: nothing, a living pid, or the pid of a dead one."""

from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.programs import log_file, ready_file
from pipeline.doctor.findings import Finding
from pipeline.doctor.system import pid_in, runs
from pipeline.settings import Settings

SUBJECT = "processes"
MODULES = {"classify": "pipeline.workers.classify", "rank": "pipeline.workers.rank", "store": "pipeline.store"}


@dataclass(frozen=True, slots=True)
class Worker:
    """`file`: its ready file is there. `pid`: what it holds, None where that is no pid."""

    name: str
    log: Path
    file: bool
    pid: int | None
    alive: bool


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """`up`: the pid of the `listening up` (or demo) that lives on the data folder, None where there is none."""

    run: str
    up: int | None
    workers: tuple[Worker, ...]


def gather(settings: Settings) -> WorkerFacts:
    """Looks at pid files and processes; other machines' are not seen."""
    owner = pid_in(settings.data_dir.absolute() / "up.pid")
    workers = []
    for name, module in MODULES.items():
        file = ready_file(settings, name)
        pid = pid_in(file)
        workers.append(Worker(name, log_file(settings, name), file.exists(), pid, runs(pid, module)))
    return WorkerFacts(settings.run, owner if runs(owner, "") else None, tuple(workers))


def judge(facts: WorkerFacts) -> list[Finding]:
    """Findings of the processes."""
    alive = [f"{worker.name} {worker.pid}" for worker in facts.workers if worker.alive]
    if not any(worker.file for worker in facts.workers):
        return [_none(facts)]
    findings = [finding for worker in facts.workers if not worker.alive for finding in _missing(worker, facts)]
    if alive:
        findings.append(Finding("ok", SUBJECT, f"alive: {', '.join(alive)}"))
    return findings


def _none(facts: WorkerFacts) -> Finding:
    if facts.up is None:
        found = f"run {facts.run} is not up on this machine"
        return Finding("note", SUBJECT, found, f"start it with `listening up --run {facts.run}`")
    found = f"`listening up` (process {facts.up}) runs another run on this data folder, or is starting this one"
    remedy = f"wait, or stop it and start `listening up --run {facts.run}`; two at once need two data folders"
    return Finding("note", SUBJECT, found, remedy)


def _missing(worker: Worker, facts: WorkerFacts) -> list[Finding]:
    if facts.up is None:
        if not worker.file:
            return []
        what = f"process {worker.pid}, which is gone" if worker.pid else "something that is no pid"
        found = f"{worker.name}'s ready file holds {what}: it was killed, and nobody restarts it"
        return [Finding("note", SUBJECT, found, f"`listening up --run {facts.run}` clears that and goes on")]
    found = f"{worker.name} {f'(process {worker.pid}) ended' if worker.pid else 'is not ready'}"
    remedy = f"it is started again by itself; if this stays, its log {worker.log} says why"
    return [Finding("warning", SUBJECT, found, remedy)]
