"""What a user's SQL may be: one statement that reads. The engine's own limits stand behind it (client.GUEST_SETTINGS)."""

import re
from itertools import pairwise

from pipeline.errors import ListeningError
from pipeline.store.statements import split, text_of

READING = ("SELECT", "WITH", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS")


def admit(query: str) -> str:
    """The statement without comments and closing semicolon.

    Raises ListeningError: nothing in it, several statements (the embedded engine would run them all and answer with a
    stale result), another verb, or INTO OUTFILE, which writes files even where the connection is read-only.
    """
    statements = split(query)
    if len(statements) != 1:
        raise ListeningError(f"one SQL statement is wanted, this is {len(statements)}")
    text = text_of(statements[0])
    verb = re.match(r"[(\s]*(\w*)", text)
    first = verb[1].upper() if verb else ""
    if first not in READING:
        raise ListeningError(f"the SQL must begin with one of {', '.join(READING)}, this begins with {text.split()[0][:40]}")
    words = [token.upper() for kind, token in statements[0] if kind == "word"]
    if any(pair == ("INTO", "OUTFILE") for pair in pairwise(words)):
        raise ListeningError("INTO OUTFILE is not for here: the answer is what the statement returns")
    return text
