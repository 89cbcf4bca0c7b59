"""The ports of broker, controller and store: free, ours, or taken by somebody else."""

from dataclasses import dataclass
from typing import Literal

from deploy.embedded.broker_files import HOST, broker_dir
from deploy.embedded.ports import is_listening, require_free
from deploy.embedded.programs import ready_file
from pipeline.doctor.findings import Finding
from pipeline.doctor.store import StoreFacts
from pipeline.doctor.system import command_of, listener, pid_in, runs
from pipeline.errors import RefusedError
from pipeline.settings import Settings

SUBJECT = "ports"


@dataclass(frozen=True, slots=True)
class Port:
    """A port that the run needs. `holder`: who has it, where it is not ours, as far as that can be seen."""

    name: str
    variable: str
    number: int
    state: Literal["free", "ours", "taken", "unusable"]
    holder: str = ""


def gather(settings: Settings, cluster_id: str | None, store: StoreFacts) -> list[Port]:
    """`cluster_id`: of the Kafka that answers at the bootstrap address, None where none does."""
    ports = []
    if settings.kafka_bootstrap is None:
        known = cluster_id is not None and cluster_id == _own_cluster(settings)
        other = f"another Kafka, cluster {cluster_id}" if cluster_id and not known else ""
        for name, number in (("broker", settings.kafka_port), ("controller", settings.kafka_controller_port)):
            # One that is only starting doesn't answer yet; its command line names the data folder.
            ours = known or runs(listener(number), str(broker_dir(settings)))
            variable = "LISTENING_KAFKA_PORT" if name == "broker" else "LISTENING_KAFKA_CONTROLLER_PORT"
            ports.append(_port(name, variable, HOST, number, ours=ours, holder=other if name == "broker" else ""))
    pid = pid_in(ready_file(settings, "store"))
    ours = store.run == settings.run or (pid is not None and pid == listener(settings.store_port))
    holder = f"the store of run {store.run}" if store.run and not ours else ""
    ports.append(_port("store", "LISTENING_STORE_PORT", settings.store_host, settings.store_port, ours=ours, holder=holder))
    return ports


def judge(ports: list[Port]) -> list[Finding]:
    """Findings of the ports."""
    findings = [_bad(port) for port in ports if port.state in ("taken", "unusable")]
    good = [f"{port.name} {port.number} {port.state}" for port in ports if port.state in ("free", "ours")]
    return [*findings, Finding("ok", SUBJECT, ", ".join(good))] if good else findings


def _bad(port: Port) -> Finding:
    what = f"{port.name} port {port.number} ({port.variable})"
    if port.state == "unusable":
        return Finding("problem", SUBJECT, f"{what} can't be used", f"set {port.variable} to a port from 1024 on")
    by = port.holder or "another process, which can't be seen from here"
    return Finding("problem", SUBJECT, f"{what} is taken by {by}", f"stop that, or set {port.variable} to a free port")


def _port(name: str, variable: str, host: str, number: int, *, ours: bool, holder: str) -> Port:
    if ours:
        return Port(name, variable, number, "ours")
    if _listens(host, number):
        return Port(name, variable, number, "taken", ", ".join(filter(None, (holder, _listener(number)))))
    try:
        require_free(host, number, variable)
    except (RefusedError, OSError) as error:
        state: Literal["taken", "unusable"] = "taken" if "in use" in str(error) else "unusable"
        return Port(name, variable, number, state, _listener(number))
    return Port(name, variable, number, "free")


def _listener(number: int) -> str:
    pid = listener(number)
    return "" if pid is None else f"process {pid} ({command_of(pid)})"


def _listens(host: str, number: int) -> bool:
    try:
        return is_listening(host, number)
    except OSError:  # a host that is none
        return False


def _own_cluster(settings: Settings) -> str | None:
    try:
        return (broker_dir(settings) / "cluster.id").read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
