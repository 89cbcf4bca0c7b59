"""What the doctor says of this machine: ports, folder, packages, processes, store, schemas; and of itself."""

import os
import socket
import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest
from rich.console import Console

import schemas
from deploy.embedded.ports import free_ports
from deploy.embedded.programs import ready_file
from pipeline.doctor import examine, folder, packages, ports, registry, store, system, view, workers
from pipeline.doctor.findings import Finding, Level, ranked
from pipeline.doctor.folder import GIB, Folder
from pipeline.doctor.packages import Package, Packages
from pipeline.doctor.store import StoreFacts
from pipeline.drills.small_disk import small_disk
from pipeline.errors import UnavailableError
from pipeline.settings import Settings, load
from tests.end_to_end.processes import wait_for
from tests.small_disks import needs_mounts


def levels(findings: list[Finding]) -> list[Level]:
    return [finding.level for finding in findings]


@pytest.fixture
def alone(tmp_path: Path) -> Settings:
    """Settings of a run on this machine of which nothing is there."""
    broker, controller, serving = free_ports(3)
    return load(run="t", data_dir=tmp_path / "data", kafka_port=broker, kafka_controller_port=controller, store_port=serving)


def test_free_ports_are_ok_and_a_taken_one_names_variable_and_process(alone: Settings) -> None:
    assert levels(ports.judge(ports.gather(alone, None, StoreFacts()))) == ["ok"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", alone.kafka_port))
        taken.listen()
        problem, ok = ports.judge(ports.gather(alone, None, StoreFacts()))
    assert (problem.level, ok.level) == ("problem", "ok")
    assert f"broker port {alone.kafka_port} (LISTENING_KAFKA_PORT) is taken by process {os.getpid()}" in problem.found
    assert "set LISTENING_KAFKA_PORT" in problem.remedy


def test_ports_of_this_run_are_ours_by_cluster_id_and_by_what_the_store_says(alone: Settings) -> None:
    home = alone.data_dir / "broker"
    home.mkdir(parents=True)
    (home / "cluster.id").write_text("c-1\n")
    facts = ports.gather(alone, "c-1", StoreFacts(answers=True, run="t"))
    assert [port.state for port in facts] == ["ours", "ours", "ours"]


def test_another_kafka_and_the_store_of_another_run_are_said(alone: Settings) -> None:
    with socket.socket() as kafka, socket.socket() as serving:
        for taken, number in ((kafka, alone.kafka_port), (serving, alone.store_port)):
            taken.bind(("127.0.0.1", number))
            taken.listen()
        broker, _, other = ports.gather(alone, "c-2", StoreFacts(answers=True, run="other"))
    assert broker.holder.startswith("another Kafka, cluster c-2, process")
    assert other.holder.startswith("the store of run other, process")


def test_an_existing_kafka_needs_no_ports_of_ours(alone: Settings) -> None:
    foreign = alone.model_copy(update={"kafka_bootstrap": "kafka:9092"})
    assert [port.name for port in ports.gather(foreign, None, StoreFacts())] == ["store"]


def test_a_port_that_needs_rights_or_a_host_that_is_none_is_unusable_and_no_traceback(alone: Settings) -> None:
    strange = alone.model_copy(update={"store_host": "no such host"})
    assert ports.gather(strange, None, StoreFacts())[-1].state == "unusable"


@pytest.mark.parametrize(
    ("facts", "level", "part"),
    [
        (Folder(Path("/d"), True, "", True, 9 * GIB), "ok", "9.0 GiB free"),
        (Folder(Path("/d"), False, "", True, 9 * GIB), "ok", "will be made"),
        (Folder(Path("/d"), True, "", True, 4 * GIB), "warning", "only 4.0 GiB free"),
        (Folder(Path("/d"), True, "", True, GIB - 1), "problem", "only 1.0 GiB free"),
        (Folder(Path("/d"), True, "", False, 9 * GIB), "problem", "can't be written"),
        (Folder(Path("/d/e"), False, "/d", True, 9 * GIB), "problem", "/d is no folder"),
    ],
)
def test_the_data_folder_is_judged_by_rights_kind_and_room(facts: Folder, level: Level, part: str) -> None:
    (finding,) = folder.judge(facts)
    assert finding.level == level
    assert part in finding.found
    assert level == "ok" or "LISTENING_DATA_DIR" in finding.remedy


def test_a_disk_mounted_within_the_data_folder_that_is_full_is_a_problem_of_its_own() -> None:
    facts = Folder(Path("/d"), True, "", True, 9 * GIB, ((Path("/d/broker/data"), 300_000), (Path("/d/store"), 9 * GIB)))
    own, full = folder.judge(facts)
    assert (own.level, full.level) == ("ok", "problem")
    assert full.found == "/d/broker/data: the disk is full (0 MiB free), what writes there waits until there is room"


@needs_mounts
def test_disks_mounted_within_the_data_folder_are_found(tmp_path: Path) -> None:
    store, broker = tmp_path / "store", tmp_path / "broker"
    broker.mkdir()
    with small_disk(store, 1):
        assert [path for path, _ in folder.gather(tmp_path, (store, broker, tmp_path / "none")).mounted] == [store]


def test_nothing_is_made_where_the_data_folder_will_be_and_a_file_in_its_place_is_seen(tmp_path: Path) -> None:
    wanted = tmp_path / "a" / "b"
    facts = folder.gather(wanted)
    assert levels(folder.judge(replace(facts, free=9 * GIB))) == ["ok"]  # however much room others leave
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a").write_text("rubbish")
    facts = folder.gather(wanted)
    assert facts.blocked == str(tmp_path / "a")


def test_the_pins_in_the_projects_metadata_are_what_is_installed_here() -> None:
    facts = packages.gather()
    assert levels(packages.judge(facts)) == ["ok"]
    installed = {package.name: (package.wanted, package.installed) for package in facts.every}
    for name in packages.PINNED:
        assert installed[name] == (f"=={metadata.version(name)}", metadata.version(name))
    assert "pytest" not in installed, "an extra of developers is no need of a run"


def test_another_version_of_a_pinned_package_is_a_problem_an_older_one_of_another_a_warning() -> None:
    every = (
        Package("aiokafka", "==0.14.0", "0.14.1"),
        Package("rich", ">=13", "12.6.0"),
        Package("httpx", ">=0.28", None),
        Package("numpy", ">=2.1", "2.4.6"),
    )
    pinned, older, missing = packages.judge(Packages("3.12.1", ">=3.11", every))
    assert (pinned.level, older.level, missing.level) == ("problem", "warning", "problem")
    assert pinned.found.startswith("aiokafka==0.14.0 is needed, 0.14.1 is installed")
    assert "it is not installed" in missing.found
    assert pinned.remedy == "run `make setup` again"


def test_an_old_python_and_a_project_that_is_not_installed_are_said() -> None:
    (python,) = packages.judge(Packages("3.10.2", ">=3.11", (Package("rich", ">=13", "13.0"),)))
    assert python.level == "problem"
    assert "Python 3.10.2 runs this, >=3.11 is needed" in python.found
    (note,) = packages.judge(packages.gather("no-such-project-of-ours"))
    assert note.level == "note"


def test_no_ready_files_are_a_run_that_is_not_up(alone: Settings) -> None:
    (note,) = workers.judge(workers.gather(alone))
    assert note.level == "note"
    assert "`listening up --run t`" in note.remedy


def test_a_living_worker_is_told_from_a_stranger_with_its_number_and_from_rubbish(alone: Settings) -> None:
    ready_file(alone, "rank").parent.mkdir(parents=True)
    worker = subprocess.Popen([sys.executable, "-c", "input()", "pipeline.workers.classify"], stdin=subprocess.PIPE)
    try:
        ready_file(alone, "classify").write_text(str(worker.pid))
        ready_file(alone, "rank").write_text(str(os.getpid()))
        ready_file(alone, "store").write_bytes(b"\xff-1 rubbish")
        wait_for("its command line", lambda: system.command_of(worker.pid) != "")  # empty for a moment after its start
        facts = workers.gather(alone)
        assert {found.name: found.alive for found in facts.workers} == {"classify": True, "rank": False, "store": False}
        assert levels(workers.judge(facts)) == ["note", "note", "ok"]
        # Under a living `listening up` those two should be there.
        (alone.data_dir / "up.pid").write_text(f"{os.getpid()}\n")
        gone, rubbish, alive = workers.judge(workers.gather(alone))
        assert (gone.level, rubbish.level) == ("warning", "warning")
        assert gone.found == f"rank (process {os.getpid()}) ended"
        assert rubbish.found == "store is not ready"
        assert alive.found == f"alive: classify {worker.pid}"
    finally:
        worker.communicate(b"\n")


@pytest.mark.parametrize("text", ["", "-1", "0", "abc", "9" * 30, "12 34", "\0", "²"])
def test_what_is_no_pid_is_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "pid"
    file.write_text(text)
    assert system.pid_in(file) is None
    assert system.pid_in(tmp_path) is None
    assert system.pid_in(tmp_path / "none") is None


def test_a_lock_is_seen_while_it_is_held_and_is_not_taken_to_see_it(tmp_path: Path) -> None:
    import fcntl

    file = tmp_path / "lock"
    with file.open("w") as held:
        assert not system.is_locked(file)
        fcntl.flock(held, fcntl.LOCK_EX)
        assert system.is_locked(file)
    assert not system.is_locked(file)


def away(**facts: object) -> StoreFacts:
    return StoreFacts(why_not="the store does not answer at http://x:1: start it with `listening up`", **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "up", "level", "part"),
    [
        (StoreFacts(True, run="t", version="26.9"), True, "ok", "on ClickHouse 26.9, nothing behind"),
        (StoreFacts(True, run="t", lag={"plays": 7, "artists": 3}), True, "ok", "10 records behind"),
        (StoreFacts(True, run="t", reasons=("plays: no room",)), True, "warning", "not ready: plays: no room"),
        (StoreFacts(True, run="other"), False, "note", "is that of run other"),
        (away(), False, "note", "not checked: the store does not answer at http"),
        (away(), True, "problem", "though the run is up"),
        (away(locked=True, owner=77), False, "warning", "process 77 holds"),
    ],
)
def test_the_store_is_judged_by_what_it_says_and_by_whether_it_should(
    alone: Settings, facts: StoreFacts, up: bool, level: Level, part: str
) -> None:
    (finding,) = store.judge(facts, alone, up=up)
    assert finding.level == level
    assert part in finding.found
    assert level == "ok" or finding.remedy


def test_a_clickhouse_server_that_does_not_answer_is_named_without_its_password(alone: Settings) -> None:
    (port,) = free_ports(1)
    foreign = alone.model_copy(update={"clickhouse_dsn": f"http://user:secret@127.0.0.1:{port}/db"})
    problem, _ = store.judge(store.gather(foreign), foreign, up=False)
    assert problem.level == "problem"
    assert f"127.0.0.1:{port}" in problem.found
    assert "secret" not in problem.found + problem.remedy
    strange = alone.model_copy(update={"clickhouse_dsn": "http://user:secret@host:port"})
    problem, _ = store.judge(store.gather(strange), strange, up=False)
    assert "no URL" in problem.found


def test_the_projects_schemas_are_ok_and_rubbish_in_their_place_is_a_problem(tmp_path: Path) -> None:
    assert levels(registry.judge(registry.gather(load()))) == ["ok"]
    other = load(schemas_dir=tmp_path)
    entry = f"schemas:\n  - {{id: 1, subject: {schemas.EVENTS_SUBJECT}, version: 1}}\n"
    good = f"compatibility: FULL_TRANSITIVE\n{entry}"
    for text, part in (
        (None, "No such file"),
        ("schemas: [", "can't be read"),
        ("just text", "can't be read"),
        (entry, "compatibility"),
        ("compatibility: FULL\nschemas: []\n", "does not have the schema"),
        (good, "No such file"),
    ):
        if text is not None:
            (tmp_path / "registry.yaml").write_text(text)
        (problem,) = registry.judge(registry.gather(other))
        assert problem.level == "problem"
        assert part in problem.found
    (tmp_path / schemas.EVENTS_SUBJECT).mkdir()
    file = tmp_path / schemas.EVENTS_SUBJECT / "1.avsc"
    for text in ("{", "{}"):
        file.write_text(text)
        assert levels(registry.judge(registry.gather(other))) == ["problem"]
    file.write_text(schemas.schema_text(schemas.EVENTS_SUBJECT, 1))
    assert levels(registry.judge(registry.gather(other))) == ["ok"]
    (tmp_path / "registry.yaml").write_text(f"compatibility: BACKWARD\n{entry}")
    assert levels(registry.judge(registry.gather(other))) == ["note", "ok"]


def test_a_registry_by_url_that_is_away_is_a_problem_and_says_which_setting(tmp_path: Path) -> None:
    away = load(schema_registry_url=f"http://127.0.0.1:{free_ports(1)[0]}", data_dir=tmp_path)
    (problem,) = registry.judge(registry.gather(away))
    assert problem.level == "problem"
    assert "wait until it answers" in problem.found
    assert "LISTENING_SCHEMA_REGISTRY_URL" in problem.remedy


def test_a_check_that_cannot_be_made_says_why_and_one_that_fails_says_that() -> None:
    def away() -> list[Finding]:
        raise UnavailableError("nobody answers")

    def broken() -> list[Finding]:
        raise ZeroDivisionError("by zero\nand more")

    assert examine.made("x", away) == [Finding("note", "x", "not checked: nobody answers")]
    (defect,) = examine.made("x", broken)
    assert defect.level == "warning"
    assert "ZeroDivisionError: by zero and more" in defect.found


def test_findings_are_grouped_by_subject_worst_subject_first_worst_finding_first() -> None:
    given = [
        Finding("ok", "a", "1"), Finding("note", "b", "2"), Finding("ok", "c", "3"), Finding("problem", "c", "4"),
        Finding("warning", "d", "5"), Finding("problem", "c", "6"), Finding("ok", "b", "7"),
    ]  # fmt: skip
    assert [finding.found for finding in ranked(given)] == ["4", "6", "3", "5", "2", "7", "1"]


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_the_terminal_marks_problems_without_colour_and_loses_no_word(width: int) -> None:
    findings = ranked(
        [
            Finding("ok", "folder", "[fine] as it is"),
            Finding("problem", "topics", "t.plays has retention.ms=1 " + "and more " * 20, "set it back " + "and on " * 20),
            Finding("note", "rules", "not checked: no broker"),
            Finding("note", "lag", "not checked: no broker"),
        ]
    )
    out = Console(width=width, record=True, highlight=False, file=open(os.devnull, "w"))  # noqa: SIM115
    view.render("t", findings, 1.25, out)
    lines = out.export_text().splitlines()
    assert max(map(len, lines)) <= width
    text = " ".join(" ".join(lines).replace("│", " ").split())
    assert text.count("and more") == 20
    assert text.count("and on") == 20
    assert "PROBLEM topics t.plays has" in text
    assert "[fine] as it is" in text
    assert text.count("not checked: no broker") == 1, "said once for both subjects"
    assert lines[-1] == "doctor: 1 problem, 2 notes, 1 ok, in 1.2 s"
