"""API keys: the file, who is found in it, and the commands."""

import json
import os
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline import cli
from pipeline.errors import Exit, RefusedError, UnavailableError
from pipeline.http import keys
from pipeline.http.keys import Key, KeyRing, create, listed, remove

NOW = 1_795_682_250_123


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "api-keys.json"


def test_a_secret_has_its_key_s_id_and_256_bits_and_finds_it(path: Path) -> None:
    key, secret = create(path, "anna", ["publish", "read"], 5_000, now_ms=NOW)
    assert re.fullmatch(rf"lk_{key.id}_[A-Za-z0-9_-]{{43}}", secret)
    assert key == Key(key.id, "anna", frozenset({"publish", "read"}), NOW, 5_000)
    assert KeyRing(path).find(secret) == key
    assert listed(path) == [key]


def test_nobody_is_found_by_anything_but_the_whole_secret(path: Path) -> None:
    (_, one), (_, other) = (create(path, name, ["read"], now_ms=NOW) for name in ("one", "other"))
    ring = KeyRing(path)
    swapped = one[:12] + other[12:]
    wrong = [
        "",
        "lk_",
        one[:-1],
        one + "x",
        one.upper(),
        " " + one,
        swapped,
        "xx" + one[2:],
        one[3:11],
        "lk_ü_\udcff",
        "\0" * 55,
    ]
    assert [ring.find(secret) for secret in wrong] == [None] * len(wrong)


def test_the_digest_in_the_file_is_no_secret_either(path: Path) -> None:
    key, secret = create(path, "anna", ["read"], now_ms=NOW)
    text = path.read_text()
    assert sha256(secret.encode()).hexdigest() in text
    assert secret[12:] not in text
    for guess in (sha256(secret.encode()).hexdigest(), f"lk_{key.id}_{sha256(secret.encode()).hexdigest()}"):
        assert KeyRing(path).find(guess) is None


def test_every_question_costs_one_comparison_of_whole_digests(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, secret = create(path, "anna", ["read"], now_ms=NOW)
    ring, compared = KeyRing(path), []

    def counting(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr(keys, "compare_digest", counting)
    for asked in (secret, secret[:-1] + "-", "lk_00000000_" + secret[12:], "", "no secret at all"):
        ring.find(asked)
    assert compared == [(32, 32)] * 5


def test_secrets_are_in_no_repr_of_a_key_or_a_ring(path: Path) -> None:
    key, secret = create(path, "anna", ["read"], now_ms=NOW)
    ring = KeyRing(path)
    digest = sha256(secret.encode())
    for text in (repr(key), str(key), repr(ring), repr(listed(path))):
        assert secret[12:] not in text
        assert digest.hexdigest() not in text
        assert repr(digest.digest()) not in text


def test_a_ring_that_is_open_sees_what_is_added_and_removed(path: Path) -> None:
    ring = KeyRing(path)
    assert not ring.has("publish")
    assert ring.find("lk_00000000_" + "x" * 43) is None
    (anna, secret), (bob, other) = (create(path, name, ["publish"], now_ms=NOW) for name in ("anna", "bob"))
    assert (ring.find(secret), ring.find(other)) == (anna, bob)
    assert (ring.has("publish"), ring.has("read")) == (True, False)
    assert remove(path, "anna") == anna
    assert (ring.find(secret), ring.find(other)) == (None, bob)
    path.unlink()
    assert (ring.find(other), ring.has("publish")) == (None, False)


def test_an_unchanged_file_is_not_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, secret = create(path, "anna", ["read"], now_ms=NOW)
    ring = KeyRing(path)
    monkeypatch.setattr(keys, "read", lambda _path: pytest.fail("it was read"))
    assert [ring.find(secret) for _ in range(3)] == [key] * 3


def test_a_name_is_given_once_and_is_a_name(path: Path) -> None:
    create(path, "anna", ["read"], now_ms=NOW)
    with pytest.raises(RefusedError, match=r"key anna is there already.*listening keys remove anna"):
        create(path, "anna", ["publish"], now_ms=NOW)
    for name in ("", "-x", "a b", "[red]", "x" * 65, "a\n"):
        with pytest.raises(RefusedError, match="is no name of a key"):
            create(path, name, ["read"], now_ms=NOW)
    with pytest.raises(RefusedError, match="has no key bob: `listening keys list`"):
        remove(path, "bob")
    for scopes, limit in (([], None), (["write"], None), (["read"], 0)):
        with pytest.raises(RefusedError, match="key x would have"):
            create(path, "x", scopes, limit, now_ms=NOW)  # type: ignore[arg-type]
    assert [key.name for key in listed(path)] == ["anna"]


def test_the_file_is_its_owner_s_alone_and_one_that_others_may_read_is_refused(path: Path) -> None:
    _, secret = create(path, "anna", ["read"], now_ms=NOW)
    ring = KeyRing(path)
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    for mode in (0o640, 0o604, 0o660, 0o601):
        path.chmod(mode)
        for ask in (lambda: ring.find(secret), lambda: KeyRing(path), lambda: listed(path), lambda: remove(path, "anna")):
            with pytest.raises(RefusedError, match=f"others than its owner: `chmod 600 {path}`"):
                ask()
    path.chmod(0o600)
    assert ring.find(secret) is not None


def test_a_damaged_file_is_refused_without_what_is_in_it_and_never_overwritten(path: Path) -> None:
    _, secret = create(path, "anna", ["read"], now_ms=NOW)
    whole, ring = path.read_text(), KeyRing(path)
    document = json.loads(whole)

    def with_key(**changed: Any) -> str:
        return json.dumps(document | {"keys": [document["keys"][0] | changed]})

    twice = json.dumps(document | {"keys": document["keys"] * 2})
    broken = [
        "", "[]", "null", whole[:-20], whole.replace('"version": 1', '"version": 10'), twice, with_key(sha256="00"),
        with_key(sha256="x" * 64), with_key(scopes=["write"]), with_key(scopes=[]), with_key(scopes=None),
        with_key(id="../x"), with_key(id=None), with_key(name=7), with_key(limit_events="5"), with_key(created_at_ms=None),
        "[" * 100_000, "\xff",
    ]  # fmt: skip
    for text in broken:
        path.write_text(text, encoding="latin-1")
        for ask in (lambda: ring.find(secret), lambda: create(path, "bob", ["read"], now_ms=NOW)):
            with pytest.raises(RefusedError, match="is damaged or of another version: restore it") as refusal:
                ask()
            assert document["keys"][0]["sha256"] not in str(refusal.value)
        assert path.read_text(encoding="latin-1") == text


def test_keys_that_are_added_at_once_are_all_there(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: create(path, f"k{number}", ["read"], now_ms=NOW), range(24)))
    ring = KeyRing(path)
    assert all(ring.find(secret) == key for key, secret in made)
    assert len({key.id for key, _ in made}) == 24


def test_a_write_that_fails_leaves_the_file_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, _ = create(path, "anna", ["read"], now_ms=NOW)
    monkeypatch.setattr(os, "fsync", lambda _file: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(UnavailableError, match="can't be written: No space left on device"):
        create(path, "bob", ["read"], now_ms=NOW)
    monkeypatch.undo()
    assert listed(path) == [key]
    create(path, "bob", ["read"], now_ms=NOW)


def test_the_commands_show_a_secret_once_on_stdout_and_never_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTENING_API_KEYS_FILE", str(path))

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(cli.app, ["keys", *arguments])

    added = run("add", "anna")
    secret = added.stdout.strip()
    anna = KeyRing(path).find(secret)
    assert anna is not None
    assert (anna.scopes, anna.limit_events) == ({"publish"}, None)
    assert secret not in added.stderr
    assert "not shown again" in added.stderr
    as_json = json.loads(run("add", "bob", "--scope", "read", "--scope", "publish", "--limit-events", "9", "--json").stdout)
    bob = KeyRing(path).find(as_json.pop("secret"))
    assert bob is not None
    assert as_json == {
        "id": bob.id, "name": "bob", "scopes": ["publish", "read"], "created_at_ms": bob.created_at_ms, "limit_events": 9,
    }  # fmt: skip
    assert json.loads(run("list", "--json").stdout)[1] == as_json
    shown = run("list").stdout
    assert secret[12:] not in shown
    assert all(text in shown for text in ("anna", "bob", anna.id, "publish, read"))
    assert json.loads(run("remove", "bob", "--json").stdout) == as_json
    assert run("remove", "anna").exit_code == 0
    assert "listening keys add NAME" in run("list").stdout
    assert run("add", "carl", "--scope", "write").exit_code == Exit.USAGE


def test_a_refusal_of_the_commands_is_one_sentence(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    create(path, "anna", ["read"], now_ms=NOW)
    monkeypatch.setenv("LISTENING_API_KEYS_FILE", str(path))
    monkeypatch.setattr("sys.argv", ["listening", "keys", "add", "anna"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (Exit.STAY_DOWN, "")
    assert re.fullmatch(r"error: a key anna is there already[^\n]*\n", said.err)
