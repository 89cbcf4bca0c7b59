"""The folder as a registry: ids for ever, read anew when it changes, written all or nothing."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import schemas
from pipeline.errors import ListeningError, UnavailableError
from pipeline.registry.folder import FolderRegistry
from pipeline.registry.http import serve_registry
from pipeline.registry.of_run import id_of_version_1
from pipeline.registry.registry import Version
from pipeline.settings import load

SUBJECT = schemas.EVENTS_SUBJECT
V1 = schemas.schema(SUBJECT, 1)
NEWER = json.dumps({**V1, "doc": "newer"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = tmp_path / "schemas"
    shutil.copytree(schemas.FOLDER, copy, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return copy


def test_every_id_of_the_folder_names_its_schema_and_no_other_does(folder: Path) -> None:
    registry = FolderRegistry(folder)
    for schema_id, (subject, version) in schemas.registry().items():
        assert registry.text(schema_id) == schemas.schema_text(subject, version)
        assert registry.owner_of(schema_id) == (subject, version)
    assert registry.text(99) is None
    assert id_of_version_1(registry, SUBJECT) == 1


def test_a_version_that_is_added_is_seen_by_a_registry_that_was_open_before(folder: Path) -> None:
    before, other = FolderRegistry(folder), FolderRegistry(folder)
    assert before.text(6) is None
    added = other.add(SUBJECT, NEWER)
    assert (added.version, added.schema_id) == (2, 6)
    assert json.loads(before.text(6) or "") == json.loads(NEWER)
    assert [entry.version for entry in before.versions(SUBJECT)] == [1, 2]
    assert "# The embedded schema registry" in (folder / "registry.yaml").read_text(), "comments are kept"


def test_a_file_that_a_crash_left_without_an_entry_is_no_version_and_is_overwritten(folder: Path) -> None:
    (folder / SUBJECT / "2.avsc").write_text('{"half')
    registry = FolderRegistry(folder)
    assert [entry.version for entry in registry.versions(SUBJECT)] == [1]
    assert registry.add(SUBJECT, NEWER).version == 2
    assert len(registry.versions(SUBJECT)) == 2


@pytest.mark.parametrize("subject", ["../elsewhere", "a/b", "", ".hidden"])
def test_a_subject_that_is_no_folder_s_name_is_refused(folder: Path, subject: str) -> None:
    with pytest.raises(ListeningError, match="is no subject"):
        FolderRegistry(folder).add(subject, NEWER)


def test_what_can_t_be_read_is_no_answer_and_not_a_no(folder: Path) -> None:
    registry = FolderRegistry(folder)
    (folder / SUBJECT / "1.avsc").write_text("{")
    with pytest.raises(UnavailableError, match=r"1\.avsc"):
        registry.text(1)
    (folder / "registry.yaml").write_text("compatibility: FULL")
    with pytest.raises(UnavailableError, match=r"registry\.yaml"):
        registry.text(2)
    (folder / "registry.yaml").unlink()
    with pytest.raises(UnavailableError, match=r"registry\.yaml"):
        registry.text(2)


def test_a_registry_without_our_schema_names_the_command_that_adds_it(folder: Path) -> None:
    (folder / "registry.yaml").write_text("compatibility: FULL\nschemas: []\n")
    with pytest.raises(ListeningError, match=r"listening schemas add .*1\.avsc"):
        id_of_version_1(FolderRegistry(folder), SUBJECT)


@pytest.fixture
def client(folder: Path) -> TestClient:
    app = FastAPI()
    serve_registry(app, load(schemas_dir=folder, run="mine"))
    return TestClient(app)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/schemas/ids/99", 40403),
        ("/schemas/ids/99/versions", 40403),
        ("/subjects/nobody-value/versions", 40401),
        (f"/subjects/{SUBJECT}/versions/7", 40402),
        (f"/subjects/{SUBJECT}/versions/first", 42202),
    ],
)
def test_a_no_has_confluent_s_code(client: TestClient, path: str, code: int) -> None:
    answer = client.get(path)
    assert answer.status_code == code // 100
    assert answer.json()["error_code"] == code
    assert answer.headers["content-type"] == "application/vnd.schemaregistry.v1+json"


def test_a_damaged_folder_is_a_500_which_clients_try_again(client: TestClient, folder: Path) -> None:
    (folder / "registry.yaml").unlink()
    answer = client.get("/schemas/ids/1")
    assert (answer.status_code, answer.json()["error_code"]) == (500, 50001)


def test_the_run_s_name_before_a_subject_is_another_name_of_it(client: TestClient) -> None:
    for name in (SUBJECT, f"mine.{SUBJECT}"):
        answer = client.get(f"/subjects/{name}/versions/latest").json()
        assert (answer["subject"], answer["version"], answer["id"]) == (name, 1, 1)
        assert json.loads(answer["schema"]) == V1
        assert client.get(f"/subjects/{name}/versions/latest/schema").json() == V1
    assert client.get(f"/subjects/other.{SUBJECT}/versions").status_code == 404


def test_a_schema_can_be_looked_up_and_checked_but_not_registered(client: TestClient) -> None:
    body = {"schema": json.dumps(V1)}
    assert client.post(f"/subjects/{SUBJECT}", json=body).json()["id"] == 1
    assert client.post(f"/subjects/{SUBJECT}", json={"schema": NEWER}).json()["error_code"] == 40403
    where = f"/compatibility/subjects/{SUBJECT}/versions/latest"
    assert client.post(where, json={"schema": NEWER}).json() == {"is_compatible": True, "messages": []}
    without = {**V1, "fields": [field for field in V1["fields"] if field["name"] != "country"]}
    assert not client.post(where, json={"schema": json.dumps(without)}).json()["is_compatible"]
    assert client.post(where, json={"schema": "{"}).json()["error_code"] == 42201
    assert client.post(where, json={}).json()["error_code"] == 42201
    assert client.post(f"/subjects/{SUBJECT}/versions", json=body).json()["error_code"] == 42205
    assert client.delete(f"/subjects/{SUBJECT}").status_code == 405


def test_two_that_add_at_once_get_two_ids_and_lose_nothing(folder: Path) -> None:
    texts = [json.dumps({**V1, "doc": f"version of {number}"}) for number in range(12)]
    with ThreadPoolExecutor(6) as pool:
        added = list(pool.map(lambda text: FolderRegistry(folder).add(SUBJECT, text), texts))
    assert sorted(version.schema_id for version in added) == list(range(6, 18))
    after = FolderRegistry(folder)
    assert {version.schema_id: json.loads(version.text) for version in after.versions(SUBJECT)[1:]} == {
        version.schema_id: json.loads(version.text) for version in added
    }


def test_a_version_that_is_no_json_is_not_ours_and_no_traceback() -> None:
    class Odd(FolderRegistry):
        def versions(self, subject: str) -> list[Version]:
            return [Version(subject, 1, 7, "syntax = proto3"), Version(subject, 2, 8, json.dumps(V1))]

    assert id_of_version_1(Odd(schemas.FOLDER), SUBJECT) == 8
