"""What a user's SQL may look like: one SELECT, as text. What it may mean is judged by the engine's own parser, see ast.py.

The lexer here and the engine's might differ in a corner. So nothing rests on where this one thinks that quotes end: the text
that is given to the engine holds no semicolon at all, hence is one statement whatever the engine takes it for.
"""

import re
from collections.abc import Collection
from itertools import pairwise

from pipeline.errors import ListeningError
from pipeline.store.statements import split, text_of

LONGEST = 100_000
"""Bytes. ClickHouse takes 128 KiB where parameters travel in a form."""
_FIRST = ("SELECT", "WITH")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_REFERENCE = re.compile(r"\{\s*\w+\s*:\s*(Identifier|\w*AggregateFunction)\b", re.IGNORECASE)
_NOT_READING = {("INTO", "OUTFILE"), ("INSERT", "INTO"), ("PARALLEL", "WITH")}

Token = tuple[str, str]


def admit(query: str, parameters: Collection[str] = (), tables: Collection[str] = ()) -> str:
    """The statement to run instead: SELECT * FROM (the user's own, without comments and semicolons).

    Around a subquery nothing can follow that is more than reading: no SETTINGS, FORMAT or INTO OUTFILE of the whole.
    Raises ListeningError in one sentence: nothing in it, several statements, another verb, a name or string that can't be
    passed on, or one of the `parameters` that the statement doesn't have. `tables` are named where they are asked for.
    """
    if len(query.encode()) > LONGEST:
        raise ListeningError(f"the SQL is longer than {LONGEST} bytes")
    if found := _CONTROL.search(query):
        raise ListeningError(f"the SQL holds the control character {found[0]!r}: write it as an escape in a string")
    statements = split(query)
    if len(statements) != 1:
        raise ListeningError(f"one SQL statement is wanted, this is {len(statements)}")
    _check_verb(text_of(statements[0]), tables)
    _check_tokens([token for token in statements[0] if token[0] != "space"])
    text = text_of([_passed_on(token) for token in statements[0]])
    if ";" in text:
        raise ListeningError("a semicolon is passed on only inside a string with plain quotes, as in ';'")
    _check_parameters(text, parameters)
    # On lines of their own: whatever the engine takes for a comment ends there.
    return f"SELECT * FROM (\n{text}\n)"


def _check_verb(text: str, tables: Collection[str]) -> None:
    match = re.match(r"[(\s]*(\w*)", text)
    first = match[1].upper() if match else ""
    if first in _FIRST:
        return
    remedy = f"it must begin with {' or '.join(_FIRST)}"
    if first in ("SHOW", "DESCRIBE", "DESC", "EXISTS"):
        remedy += f"; `listening sql --schema` prints the tables and their columns ({', '.join(tables)})"
    raise ListeningError(f"the SQL begins with {text.split()[0][:40]}, and only reading is for here: {remedy}")


def _check_tokens(tokens: list[Token]) -> None:
    words = [token.upper() if kind == "word" else "" for kind, token in tokens]
    for pair in pairwise(words):
        if pair in _NOT_READING:
            raise ListeningError(f"{' '.join(pair)} is not for here: the answer is what the SELECT returns")
    if words[-2:-1] == ["FORMAT"] and words[-1] not in ("", "ASC", "DESC"):
        raise ListeningError("FORMAT is not for here: whoever asks chooses how the answer is shown, as by --json")
    for word, (kind, token) in zip(["", *words], tokens, strict=False):
        if kind != "quoted":
            continue
        if word == "UUID":
            raise ListeningError("a table is named by its name here, not by its UUID")
        if token[0] in '"`“' and re.search(r"[\\\n\r\t]", token):
            raise ListeningError("a quoted name must not hold backslashes, tabs or line ends")


def _passed_on(token: Token) -> Token:
    """Semicolons in plain strings become escapes, so that the engine meets none."""
    kind, text = token
    if kind == "quoted" and text[0] == "'":
        text = re.sub(
            r"\\.|;", lambda found: {";": r"\x3B", r"\;": r"\\\x3B"}.get(found[0], found[0]), text, flags=re.DOTALL
        )
    return kind, text


def _check_parameters(text: str, parameters: Collection[str]) -> None:
    if wrong := _REFERENCE.search(text):
        raise ListeningError(f"a parameter can't be of the type {wrong[1]}: parameters are values")
    for name in parameters:
        # The client library would paste it into the text itself if the statement had no {name:Type} at all.
        if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) or f"{{{name}:" not in text:
            raise ListeningError(f"the SQL has no parameter {name[:40]!r}: it is written {{name:Type}}, without spaces")
