"""The broker's jars: fetched once by Maven coordinate, held to the sha256 of the committed lock.

python -m deploy.embedded.jars            fetch what is missing (part of `make setup`)
python -m deploy.embedded.jars --relock   maintainers: resolve anew with mvn and write the lock
"""

import errno
import hashlib
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maven_artifact import Artifact, Downloader
from maven_artifact.requestor import RequestException, Requestor

from pipeline import settings as pipeline_settings
from pipeline.errors import ListeningError, UnavailableError

LOCK = Path(__file__).with_name("jars.lock.json")
THREADS = 8
TIMEOUT = (10, 60)
"""Seconds to connect, and seconds without a byte, after which a download has failed."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One jar of the lock: `group:artifact:version` and the hex sha256 of its bytes."""

    coordinate: str
    sha256: str

    @property
    def filename(self) -> str:
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def read_lock(path: Path = LOCK) -> tuple[Jar, ...]:
    """The jars of the lock, in its order."""
    return tuple(Jar(**entry) for entry in json.loads(path.read_text()))


def fetch_jars(
    cache_dir: Path,
    *,
    lock: Sequence[Jar] | None = None,
    base: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[Path, ...]:
    """The verified jars in `<cache_dir>/jars`, in the lock's order; what is missing or damaged is downloaded.

    `base` is another Maven repository than the client's own. Raises ListeningError: no network, a download whose hash is
    not the lock's, a cache that can't be written.
    """
    jars = read_lock() if lock is None else lock
    folder = cache_dir.absolute() / "jars"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(THREADS) as pool:
            present = list(pool.map(lambda jar: _is_there(folder / jar.filename, jar.sha256), jars))
            missing = [jar for jar, there in zip(jars, present, strict=True) if not there]
            if missing:
                progress(f"fetching {len(missing)} broker jars into {folder} (once)")
                client = _client(base)
                tasks = [pool.submit(_download, client, jar, folder) for jar in missing]
                try:
                    for task in tasks:
                        task.result()
                finally:
                    pool.shutdown(wait=True, cancel_futures=True)
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else (error.strerror or str(error))
        raise ListeningError(
            f"The broker's jars can't be kept in {folder}: {reason}; make room, or choose another LISTENING_CACHE_DIR."
        ) from error
    return tuple(folder / jar.filename for jar in jars)


class _BoundedRequestor(Requestor):  # type: ignore[misc]  # the package has no types
    """The package's client waits for ever; this one gives up."""

    def request(self, *args: Any, **kwargs: Any) -> Any:
        return super().request(*args, timeout=TIMEOUT, **kwargs)


def _client(base: str | None) -> Any:
    client = Downloader() if base is None else Downloader(base=base)
    client.requestor = client.resolver.requestor = _BoundedRequestor()
    return client


def _download(client: Any, jar: Jar, folder: Path) -> None:
    # Not Downloader.download: it prints, writes in place, and compares with a hash from the same server.
    url = client.resolver.uri_for_artifact(Artifact.parse(jar.coordinate))
    digest = hashlib.sha256()
    with tempfile.NamedTemporaryFile(dir=folder, prefix=jar.filename, suffix=".part", delete=False) as part:
        path = Path(part.name)
        try:
            for chunk in _chunks(client, url, jar):
                digest.update(chunk)
                part.write(chunk)
            part.close()
            if digest.hexdigest() != jar.sha256:
                raise ListeningError(
                    f"{jar.coordinate} was downloaded with sha256 {digest.hexdigest()[:16]}…, but {LOCK.name} says "
                    f"{jar.sha256[:16]}…: it was not kept; try again, and if it stays so do not trust that repository."
                )
            path.chmod(0o644)
            path.rename(folder / jar.filename)
        finally:
            with suppress(FileNotFoundError):
                path.unlink()


def _chunks(client: Any, url: str, jar: Jar) -> Any:
    import requests  # a dependency of maven-artifact; only needed on a download

    try:
        with client.requestor.request(url, None, stream=True) as response:
            yield from response.iter_content(1 << 16)
    except (requests.RequestException, RequestException) as error:
        raise UnavailableError(
            f"{jar.coordinate} could not be downloaded from Maven Central ({type(error).__name__}): check the network "
            "connection (or proxy settings) and run the command again; what was fetched is kept."
        ) from error


def _is_there(path: Path, sha256: str) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except FileNotFoundError:
        return False


def main(arguments: Sequence[str]) -> int:
    try:
        if "--relock" in arguments:
            from deploy.embedded.relock import relock

            relock(LOCK)
        fetch_jars(pipeline_settings.load().cache_dir, progress=lambda line: print(line, file=sys.stderr))
    except ListeningError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
