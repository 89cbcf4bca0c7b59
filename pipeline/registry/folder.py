"""The embedded registry: a folder of `<subject>/<version>.avsc` files with a `registry.yaml` that gives each its id."""

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

import schemas
from pipeline.errors import ListeningError, UnavailableError
from pipeline.registry.registry import Version
from schemas import Registered


class FolderRegistry:
    """A folder like schemas/. Read anew whenever registry.yaml has changed: a version may be added while workers run."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.where = folder, str(folder)
        self._read: tuple[tuple[int, int, int], Registered] | None = None

    def text(self, schema_id: int) -> str | None:
        entry = self._registered().ids.get(schema_id)
        return self._text(*entry) if entry else None

    def versions(self, subject: str) -> list[Version]:
        found = [
            Version(subject, version, schema_id, self._text(subject, version))
            for schema_id, (name, version) in self._registered().ids.items()
            if name == subject
        ]
        return sorted(found, key=lambda entry: entry.version)

    def subjects(self) -> list[str]:
        return sorted({subject for subject, _ in self._registered().ids.values()})

    def owner_of(self, schema_id: int) -> tuple[str, int] | None:
        """Subject and version of an id."""
        return self._registered().ids.get(schema_id)

    def mode(self, subject: str) -> str:  # noqa: ARG002
        return self._registered().compatibility

    def add(self, subject: str, text: str) -> Version:
        """The file first, then its entry, each at once or not at all: a crash between leaves a file that nobody names."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", subject):
            raise ListeningError(f"{subject!r} is no subject: it is a folder's name of letters, digits, '.', '_' and '-'")
        with self._locked():
            return self._add(subject, text)

    def _add(self, subject: str, text: str) -> Version:
        known = self._registered().ids
        version = 1 + max((number for name, number in known.values() if name == subject), default=0)
        added = Version(subject, version, 1 + max(known, default=0), text)
        registry = self._folder / "registry.yaml"
        entry = f"  - {{id: {added.schema_id}, subject: {subject}, version: {version}}}\n"
        try:
            (self._folder / subject).mkdir(exist_ok=True)
            _replace(self._folder / subject / f"{version}.avsc", text if text.endswith("\n") else text + "\n")
            listed = registry.read_text()
            _replace(registry, listed + ("" if listed.endswith("\n") else "\n") + entry)
        except OSError as error:
            raise UnavailableError(f"the schema can't be written to {self._folder}: {error.strerror}") from error
        return added

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process adds at a time: two would give one id twice."""
        try:
            with (self._folder / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise UnavailableError(f"{self._folder} can't be written: {error.strerror}") from error

    def _registered(self) -> Registered:
        path = self._folder / "registry.yaml"
        try:
            at = path.stat()
            stamp = (at.st_mtime_ns, at.st_size, at.st_ino)
            if self._read is None or self._read[0] != stamp:
                self._read = (stamp, schemas.read_registry(self._folder))
        except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            raise UnavailableError(f"the schema registry {path} can't be read: {type(error).__name__} {error}") from error
        return self._read[1]

    def _text(self, subject: str, version: int) -> str:
        path = self._folder / subject / f"{version}.avsc"
        try:
            text = path.read_text()
            json.loads(text)
        except (OSError, ValueError) as error:
            raise UnavailableError(f"{path}, which the schema registry names, can't be read: {error}") from error
        return text


def _replace(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text)
    os.replace(unfinished, path)
