"""Which errors of ClickHouse pass, and what is said of them."""

import socket

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError, ProgrammingError
from clickhouse_connect.driver.exceptions import Error as EngineError

from deploy.embedded.ports import free_ports
from pipeline.errors import SettingsError
from pipeline.settings import load
from pipeline.store.client import Pool, open_client
from pipeline.store.refusals import PASSING, NotNowError, passes, sentence


def test_the_codes_that_pass_have_the_names_that_the_engine_gives_them(pool: Pool) -> None:
    assert {code: pool.base.command(f"SELECT errorCodeToName({code})") for code in PASSING} == PASSING


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (DatabaseError("too many parts", code=252), True),
        (DatabaseError("no such table", code=60), False),
        (
            DatabaseError(
                "Code: 75. DB::ErrnoException: Cannot write to file: , errno: 28, strerror: No space left", code=75
            ),
            True,
        ),
        (
            DatabaseError("Code: 75. DB::ErrnoException: Cannot write to file: , errno: 5, strerror: I/O error", code=75),
            False,
        ),
        (DatabaseError("Code: 1001. std::filesystem_error: in rename: No space left on device", code=1001), True),
        (DatabaseError("Code: 74. Cannot write: , errno: 122, strerror: Disk quota exceeded", code=74), True),
        (OperationalError("Error connection refused executing HTTP request attempt 1 (http://h:1)"), True),
        (DatabaseError("HTTP driver received HTTP status 502, server response: Bad Gateway (for url http://h:1)"), True),
        (DatabaseError("HTTP driver received HTTP status 413 (for url http://h:1)"), False),
        (ProgrammingError("Setting nonsense is unknown or readonly"), False),
    ],
)
def test_what_passes_is_told_from_what_never_will(error: EngineError, expected: bool) -> None:
    assert passes(error) is expected


def test_a_full_disk_is_one_sentence_whatever_the_code_and_the_figures() -> None:
    told = [
        DatabaseError("Code: 243. DB::Exception: Cannot reserve 1.31 MiB, not enough space. (NOT_ENOUGH_SPACE)", code=243),
        DatabaseError("Code: 243. DB::Exception: Cannot reserve 1.58 MiB, not enough space. (NOT_ENOUGH_SPACE)", code=243),
        DatabaseError("Code: 75. DB::ErrnoException: Cannot write, errno: 28, strerror: No space left on device", code=75),
    ]
    (said,) = {sentence(error) for error in told}
    assert said.startswith("the disk under ClickHouse is full")
    assert "free some room there" in said


def test_a_server_that_is_away_is_named_without_its_password() -> None:
    (port,) = free_ports(1)
    with pytest.raises(NotNowError) as caught:
        open_client(load(clickhouse_dsn=f"clickhouse://me:secret@127.0.0.1:{port}/default"))
    assert str(caught.value) == f"ClickHouse does not answer at http://127.0.0.1:{port}: connection refused"


def test_a_server_that_takes_the_connection_and_says_nothing_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = load(clickhouse_dsn=f"clickhouse://127.0.0.1:{silent.getsockname()[1]}/default")
        with pytest.raises(NotNowError, match="no answer in time"):
            open_client(settings, answer_seconds=1)


@pytest.mark.parametrize(
    "dsn", ["clickhouse://me:secret@host:port/db", "clickhouse://me:se/cret@host", "clickhouse://me:secret@[::1"]
)
def test_a_dsn_that_is_none_is_one_sentence_without_its_password(dsn: str) -> None:
    with pytest.raises(SettingsError, match="LISTENING_CLICKHOUSE_DSN") as raised:
        open_client(load(clickhouse_dsn=dsn))
    assert "se" + "cret" not in str(raised.value)
    assert "'se'" not in str(raised.value)
    assert raised.value.__suppress_context__
