"""One request of ClickHouse's HTTP interface, run by the embedded engine.

The rules are those of ClickHouse's HTTPHandler and exceptionCodeToHTTPStatus: the query is the parameter `query` followed by
the body; parameters that are nothing else are settings; a GET reads only; several statements are refused.
"""

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import chdb

from pipeline.store.disk import ENGINE_OPTIONS
from pipeline.store.statements import split

RESERVED = frozenset(
    {
        *(
            "query",
            "database",
            "default_format",
            "query_id",
            "quota_key",
            "role",
            "user",
            "password",
            "compress",
            "decompress",
        ),
        *("session_id", "session_timeout", "session_check", "buffer_size", "wait_end_of_query", "client_protocol_version"),
        *("enable_http_compression", "send_progress_in_http_headers", "http_headers_progress_interval_ms"),
    }
)
"""Parameters that are no settings of a query, or that say how an answer travels: it goes whole and as it is."""
STATUS = (
    dict.fromkeys(("REQUIRED_PASSWORD",), 401)
    | dict.fromkeys(("UNKNOWN_USER", "WRONG_PASSWORD", "AUTHENTICATION_FAILED", "ACCESS_DENIED"), 403)
    | dict.fromkeys(("BAD_ARGUMENTS", "SYNTAX_ERROR", "INCORRECT_DATA", "TYPE_MISMATCH", "THERE_IS_NO_COLUMN"), 400)
    | dict.fromkeys(("DUPLICATE_COLUMN", "ILLEGAL_COLUMN", "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE"), 400)
    | dict.fromkeys(("UNKNOWN_TABLE", "UNKNOWN_FUNCTION", "UNKNOWN_IDENTIFIER", "UNKNOWN_TYPE", "UNKNOWN_STORAGE"), 404)
    | dict.fromkeys(("UNKNOWN_DATABASE", "UNKNOWN_SETTING", "UNKNOWN_FORMAT", "UNKNOWN_AGGREGATE_FUNCTION"), 404)
    | {"TIMEOUT_EXCEEDED": 408, "QUERY_IS_TOO_LARGE": 413, "NOT_IMPLEMENTED": 501}
    | dict.fromkeys(("SOCKET_TIMEOUT", "CANNOT_OPEN_FILE", "CANNOT_SCHEDULE_TASK"), 503)
)
"""By the name of the error; CANNOT_PARSE_… is 400, all others 500."""
_INSERT = re.compile(rb"\s*(INSERT\s+INTO\s+.+?)\s+FORMAT\s+(\w+)\s*(?:\n|\Z)", re.IGNORECASE | re.DOTALL)
_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*\Z", re.IGNORECASE)
_CODE = re.compile(r"Code: (\d+)\.")
_NAME = re.compile(r"\(([A-Z][A-Z0-9_]+)\)")


@dataclass(frozen=True, slots=True)
class Query:
    """What a request asks for. `data`: the rows of an insert, None where it is none."""

    sql: bytes
    data: bytes | None
    format: str
    database: str
    session: str
    settings: dict[str, str]
    parameters: dict[str, str]

    @property
    def is_insert(self) -> bool:
        return self.data is not None


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class EngineRefusal(Exception):
    """The engine's error, or one made to look like it: code, name and message."""

    def __init__(self, code: int, name: str, message: str) -> None:
        super().__init__(message)
        self.code, self.name = code, name

    def answer(self) -> Answer:
        """As the server would tell it."""
        status = 400 if self.name.startswith("CANNOT_PARSE") else STATUS.get(self.name, 500)
        return Answer(status, f"{self}\n".encode(), {"X-ClickHouse-Exception-Code": str(self.code)})


def parse(parameters: Mapping[str, str], body: bytes, *, is_get: bool) -> Query:
    """A request's parameters and (decompressed) body."""
    asked = parameters.get("query", "").encode()
    text = asked + (b"\n" if asked and body else b"") + body
    insert = _INSERT.match(text)
    sql, data, form = text, None, parameters.get("default_format", "TabSeparated")
    if insert:
        sql, data, form = insert[1], text[insert.end() :], insert[2].decode()
    elif written := _FORMAT.search(text.decode(errors="replace")):
        form = written[1]
    settings = {name: value for name, value in parameters.items() if name not in RESERVED and not name.startswith("param_")}
    if is_get:
        settings.setdefault("readonly", "2")
    return Query(
        sql=sql,
        data=data,
        format=form,
        database=parameters.get("database", ""),
        session=parameters.get("session_id", ""),
        settings=settings,
        parameters={name[6:]: value for name, value in parameters.items() if name.startswith("param_")},
    )


class Engine:
    """The embedded engine in a folder. Requests may come from many threads; those of one session one after the other."""

    def __init__(self, path: str) -> None:
        # As a server's: the room that it keeps is what makes it refuse inserts by name before the disk is full.
        self._path = f"{path}?{urlencode(ENGINE_OPTIONS)}"
        self._base = chdb.connect(self._path)  # keeps the engine open between requests
        self._sessions: dict[str, Any] = {}
        self.version, self.timezone = self._base.query("SELECT version(), timezone()", "TSV").bytes().decode().split()

    def name_of(self, code: int) -> str:
        return str(self._base.query(f"SELECT errorCodeToName({code})", "TSV").bytes().decode().strip())

    def run(self, query: Query) -> Answer:
        """Raises EngineRefusal where the engine does."""
        if not query.is_insert and len(split(query.sql.decode(errors="replace"))) != 1:
            raise EngineRefusal(
                62, "SYNTAX_ERROR", "Code: 62. DB::Exception: Multi-statements are not allowed. (SYNTAX_ERROR)"
            )
        with self._handle(query) as handle:
            try:
                return self._answer(query, self._run(handle, query))
            except RuntimeError as error:  # chdb's errors are RuntimeErrors
                message = str(error)
                code, names = _CODE.search(message), _NAME.findall(message)
                raise EngineRefusal(int(code[1]) if code else 1000, names[-1] if names else "", message) from error

    def close(self) -> None:
        for handle in [*self._sessions.values(), self._base]:
            handle.close()

    @contextmanager
    def _handle(self, query: Query) -> Iterator[Any]:
        """A connection to the engine for one request: the session's, else a new one.

        A connection can't leave readonly again: a request that sets it has one of its own, and sees no temporary tables.
        """
        if not query.session or "readonly" in query.settings:
            handle = chdb.connect(self._path)
            try:
                yield handle
            finally:
                handle.close()
            return
        handle = self._sessions.get(query.session) or chdb.connect(self._path)
        self._sessions[query.session] = handle
        try:
            yield handle
        finally:
            for name in query.settings:  # a request's settings end with it
                with suppress(RuntimeError):
                    handle.query(f"SET {_quoted(name, '`')} = DEFAULT", "TSV")

    def _run(self, handle: Any, query: Query) -> Any:
        if query.database:
            handle.query(f"USE {_quoted(query.database, '`')}", "TSV")
        # readonly last: after it nothing can be set.
        for name, value in sorted(query.settings.items(), key=lambda setting: setting[0] == "readonly"):
            handle.query(f"SET {_quoted(name, '`')} = {_quoted(value, chr(39))}", "TSV")
        if query.data is None:
            return handle.query(query.sql, query.format, params=query.parameters)
        with tempfile.NamedTemporaryFile(suffix=".insert") as file:
            file.write(query.data)
            file.flush()
            infile = f"{query.sql.decode()} FROM INFILE {_quoted(file.name, chr(39))} FORMAT {query.format}"
            return handle.query(infile, "TSV", params=query.parameters)

    def _answer(self, query: Query, result: Any) -> Answer:
        kind = "written" if query.is_insert else "read"
        summary = {f"{kind}_rows": str(result.rows_read()), f"{kind}_bytes": str(result.bytes_read())}
        headers = {
            "X-ClickHouse-Format": query.format,
            "X-ClickHouse-Timezone": self.timezone,
            "X-ClickHouse-Summary": json.dumps(summary),
        }
        return Answer(200, b"" if query.is_insert else result.bytes() or b"", headers)


def _quoted(text: str, quote: str) -> str:
    return quote + text.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote
