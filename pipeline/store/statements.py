"""SQL text into statements: enough of ClickHouse's lexer to know what is code and what is quoted or a comment."""

import re

# A quote that is not closed swallows the rest of the text, also behind a last backslash: the engine will say what is wrong
# with it. So every quote is a token at once, and reading takes time in proportion to the text.
_TOKEN = re.compile(
    r"""
      (?P<comment> --[^\n]* | \#[ !][^\n]* | /\*.*?(?:\*/|\Z) )
    | (?P<quoted> '(?:\\.?|''|[^'\\])*(?:'|\Z) | "(?:\\.?|""|[^"\\])*(?:"|\Z) | `(?:\\.?|``|[^`\\])*(?:`|\Z)
                | ‘[^’]*(?:’|\Z) | “[^”]*(?:”|\Z) )
    | (?P<heredoc> \$(?P<tag>\w*)\$ .*? (?:\$(?P=tag)\$|\Z) )
    | (?P<word> \w+ )
    | (?P<end> ; )
    | (?P<space> \s+ )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)


def split(text: str) -> list[list[tuple[str, str]]]:
    """The statements of `text`, each as (kind, token) pairs without comments; empty statements are left out.

    Kinds: word, quoted, heredoc, space, other.
    """
    statements: list[list[tuple[str, str]]] = [[]]
    for match in _TOKEN.finditer(text):
        kind = str(match.lastgroup) if match.lastgroup != "tag" else "heredoc"
        if kind == "end":
            statements.append([])
        else:
            # A comment separates words, as a space does.
            statements[-1].append(("space", " ") if kind == "comment" else (kind, match.group()))
    return [statement for statement in statements if any(kind != "space" for kind, _ in statement)]


def text_of(statement: list[tuple[str, str]]) -> str:
    return "".join(token for _, token in statement).strip()
