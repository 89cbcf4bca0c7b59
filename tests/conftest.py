"""One real broker for the whole test session, and settings of its own for every test.

`from tests.conftest import settings_env` gives a subprocess the same settings.
"""

import itertools
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from deploy.embedded.broker import running_broker
from deploy.embedded.ports import free_ports
from deploy.embedded.programs import environment
from pipeline.settings import PREFIX, Settings, load

_runs = itertools.count(1)

# The embedded engine keeps some descriptors of its threads each time it is opened: a store opens it once, a session of tests
# a hundred times, and many systems allow 1,024 unless asked.
_, _most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (_most if _most != resource.RLIM_INFINITY else 1 << 16, _most))

# How long an example takes, or its making, says nothing on a machine that does other things beside. And the same code has
# the same verdict, here and in CI: new examples are looked for on purpose, with `pytest --hypothesis-profile explore`.
_UNTIMED: dict[str, Any] = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("steady", derandomize=True, print_blob=True, **_UNTIMED)
hypothesis.settings.register_profile("explore", print_blob=True, **_UNTIMED)
hypothesis.settings.load_profile("steady")


def new_run() -> str:
    """The name of a run of one's own, also for a fixture that lives as long as a module: beside other workers, one that is
    idle is given tests of others, so it may come back to a module that it had left, and sets it up again."""
    return f"t{os.getpid()}-{next(_runs)}"


def settings_env(settings: Settings) -> dict[str, str]:
    """The environment of a subprocess that must load the same settings."""
    return environment(settings)


@pytest.fixture(scope="session", autouse=True)
def _compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Many processes import the same: the second need not compile it again, wherever bytecode may not be written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("bytecode")))
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        yield


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests mean the defaults when they say nothing; a developer's own LISTENING_ variables don't reach them."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers of a broker that lives as long as the test session."""
    port, controller = free_ports(2)
    settings = load(data_dir=tmp_path_factory.mktemp("broker"), kafka_port=port, kafka_controller_port=controller)
    with running_broker(settings):
        yield settings.bootstrap


@pytest.fixture
def settings(broker: str, tmp_path: Path) -> Settings:
    """A run of its own on the session's broker; its topics aren't made yet (`pipeline.admin.ensure_topics`)."""
    return load(
        run=new_run(),
        kafka_bootstrap=broker,
        data_dir=tmp_path / "data",
        store_port=free_ports(1)[0],
        session_seconds=6,
    )
