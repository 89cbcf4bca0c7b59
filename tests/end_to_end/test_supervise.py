"""The supervisor with tiny stand-ins for the workers: real supervisord, real broker, real signals."""

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.embedded.ports import free_ports, is_listening
from deploy.embedded.programs import Program, broker_program, environment, log_file
from deploy.embedded.sessions import members
from deploy.embedded.supervise import run_programs
from pipeline.admin import ensure_topics, wait_for_broker
from pipeline.errors import RefusedError
from pipeline.settings import Settings, load

READY = f"""
import os, subprocess, sys, time
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
import pipeline.settings
settings = pipeline.settings.load()
def ready():
    (settings.run_dir / "ready" / NAME).write_text(str(os.getpid()))
"""
STAYS = "ready()\ntime.sleep(600)\n"
STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import os, signal, time; os.setpgrp(); "
                  "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"])
"""
ONCE_70 = """
marker = settings.run_dir / "failed-once"
if not marker.exists():
    marker.write_text("")
    print("the write failed")
    sys.exit(70)
"""


def stand_in(settings: Settings, name: str, body: str) -> Program:
    script = settings.data_dir / f"{name}.py"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(f"NAME = {name!r}\n{READY}\n{body}")
    return Program(name, (sys.executable, str(script)), "-", (log_file(settings, name),))


def silent(_: str) -> None:
    pass


def test_a_process_that_exits_70_is_started_again_and_all_are_gone_afterwards(settings: Settings) -> None:
    programs = [stand_in(settings, "classify", ONCE_70 + STAYS), stand_in(settings, "rank", STAYS)]
    with run_programs(settings, programs, silent) as stack:
        services = {service.name: service for service in stack.services()}
        assert list(services) == ["classify", "rank"]
        session = os.getsid(services["rank"].pid or 0)
        assert {service.pid for service in services.values()} < set(members(session))
    assert "the write failed" in log_file(settings, "classify").read_text()
    assert members(session) == []


def test_a_process_that_exits_78_while_starting_is_reported_with_the_end_of_its_log(settings: Settings) -> None:
    programs = [stand_in(settings, "classify", "print('the rules differ'); sys.exit(78)")]
    with (
        pytest.raises(RefusedError, match=r"classify stays down \(exit code 78\).*\n  the rules differ") as caught,
        run_programs(settings, programs, silent),
    ):
        pytest.fail("it was never ready")
    assert int(caught.value.exit_code) == 78


def test_a_process_that_keeps_ending_while_starting_is_reported(settings: Settings) -> None:
    programs = [stand_in(settings, "rank", "raise ModuleNotFoundError('no such module')")]
    with (
        pytest.raises(RefusedError, match=r"rank ended 3 times while starting.*(\n.*)*no such module"),
        run_programs(settings, programs, silent),
    ):
        pytest.fail("it was never ready")


def test_a_process_that_exits_78_later_ends_the_wait(settings: Settings) -> None:
    quits = "ready()\nwhile not (settings.run_dir / 'now').exists(): time.sleep(0.05)\nprint('a cut topic'); sys.exit(78)"
    programs = [stand_in(settings, "classify", quits), stand_in(settings, "store", STAYS)]
    with run_programs(settings, programs, silent) as stack:
        (settings.run_dir / "now").write_text("")
        with pytest.raises(RefusedError, match=r"classify stays down \(exit code 78\).*\n  a cut topic"):
            stack.wait()


@contextmanager
def up(settings: Settings, programs: str) -> Iterator["subprocess.Popen[str]"]:
    """Another Python that runs these programs until a signal; killed at the end whatever happened."""
    code = f"""
import sys
from deploy.embedded.supervise import run_programs
from tests.end_to_end.test_supervise import *
settings = load()
try:
    with run_programs(settings, [{programs}], silent) as stack:
        print(*(service.pid for service in stack.services()), stack._daemon.process.pid, flush=True)
        stack.wait()
except KeyboardInterrupt:
    print("stopped", flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", code], env=environment(settings), stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_ctrl_c_leaves_no_process_not_even_one_that_ignores_it_and_no_listening_port(tmp_path: Path) -> None:
    port, controller, store = free_ports(3)
    settings = load(data_dir=tmp_path, kafka_port=port, kafka_controller_port=controller, store_port=store)
    with up(settings, "broker_program(settings), stand_in(settings, 'classify', STUBBORN + STAYS)") as process:
        assert process.stdout is not None
        broker, classify, daemon = map(int, process.stdout.readline().split())
        assert is_listening("127.0.0.1", port)
        session = members(daemon)
        assert {broker, classify, daemon} < set(session), "and the grandchild"
        with (
            pytest.raises(RefusedError, match=f"in use by another `listening up` or `demo` \\(process {process.pid}\\)"),
            run_programs(settings, [broker_program(settings)], silent),
        ):
            pass
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "stopped\n"
        assert process.wait(120) == 0
    assert members(daemon) == []
    assert not is_listening("127.0.0.1", port)
    assert not is_listening("127.0.0.1", controller)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_signal_leaves_a_process(number: signal.Signals, settings: Settings) -> None:
    with up(settings, "stand_in(settings, 'classify', STAYS)") as process:
        assert process.stdout is not None
        classify, daemon = map(int, process.stdout.readline().split())
        assert members(daemon) == sorted([classify, daemon])
        process.send_signal(number)
        assert process.stdout.read() == ("" if number == signal.SIGKILL else "stopped\n")
        assert process.wait(120) == (-9 if number == signal.SIGKILL else 0)
        # After kill -9 nobody is left to wait for supervisord, which the system tells that its parent is gone.
        _gone_within(daemon, 120)
    assert members(daemon) == []


def _gone_within(pid: int, seconds: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        waiting = select.poll()  # select() takes no descriptor above 1023, and a session of tests may have that many
        waiting.register(descriptor, select.POLLIN)
        assert waiting.poll(seconds * 1000), f"process {pid} is still there"
    finally:
        os.close(descriptor)


def test_a_busy_store_port_is_one_sentence(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", settings.store_port))
        taken.listen()
        programs = [stand_in(settings, "store", STAYS)]
        with pytest.raises(RefusedError, match="LISTENING_STORE_PORT"), run_programs(settings, programs, silent):
            pass


def test_a_broker_that_is_killed_is_started_again_with_its_data_while_up_goes_on(tmp_path: Path) -> None:
    port, controller, store = free_ports(3)
    settings = load(data_dir=tmp_path, kafka_port=port, kafka_controller_port=controller, store_port=store)
    with run_programs(settings, [broker_program(settings)], silent) as stack:
        first = stack.services()[0].pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        _gone_within(first, 120)
        wait_for_broker(settings, 120)
        ensure_topics(settings)
        stack.check()
        assert stack.services()[0].pid not in (None, first)
    assert not is_listening("127.0.0.1", port)
