"""What a statement means, by the engine's own parser: every line of its EXPLAIN AST is held against lists of what may be.

One line is one node, as deep as it is indented: `Function count (alias n) (children 1)`. Functions and names are judged
wherever they stand, so a name that holds line ends could add lines to be refused, never take one away. Pure: no I/O.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from pipeline.errors import ListeningError
from pipeline.store import functions

_LINE = re.compile(r"( *)(\w[\w:]*)(.*)", re.DOTALL)
_CHILDREN = re.compile(r" \(children \d+\)\Z")
_NAMED = {"Function", "Identifier", "TableIdentifier", "Literal"}
_BARE = {
    *("SelectWithUnionQuery", "SelectIntersectExceptQuery", "SelectQuery", "Subquery", "WithElement", "ExpressionList"),
    *("TablesInSelectQuery", "TablesInSelectQueryElement", "TableExpression", "TableJoin", "ArrayJoin"),
    *("Asterisk", "QualifiedAsterisk", "ColumnsListMatcher", "ColumnsRegexpMatcher"),
    *("QualifiedColumnsListMatcher", "QualifiedColumnsRegexpMatcher"),
    *("ColumnsTransformerList", "ColumnsExceptTransformer", "ColumnsReplaceTransformer"),
    *(
        "ColumnsReplaceTransformer::Replacement",
        "OrderByElement",
        "InterpolateElement",
        "WindowDefinition",
        "WindowListElement",
    ),
}
_SPELLED = {"Set": "SETTINGS", "ColumnsApplyTransformer": "APPLY", "SampleRatio": "SAMPLE", "ASTStreamSettings": "STREAM"}
"""Nodes that are refused, as people write them. APPLY: the tree doesn't show what is applied."""
MOST_TABLES = 100
"""Tables in one statement, those that are named twice counted twice. Planning thousands takes minutes, without a limit."""
_CASTS = {"cast", "_cast", "accuratecast", "accuratecastornull", "accuratecastordefault"}
_PLAIN_TYPE = re.compile(r"'(?:\\'|[\w\s(),.:/+=-])*'")


@dataclass(eq=False, slots=True)
class Node:
    """A line: what it is, its name or value (empty where it has none), and its place in the tree."""

    kind: str
    name: str
    parent: "Node | None"
    children: list["Node"] = field(default_factory=list)


def judge(lines: Iterable[str], database: str, tables: Collection[str], databases: Collection[str]) -> None:
    """Whether the statement only reads `tables`, those of `database`, by admitted functions; `databases` are all there are.

    Raises ListeningError in one sentence that names what is refused and what is allowed.
    """
    others = tuple(f"{name}." for name in databases if name != database)
    has = f"this run has {', '.join(tables)}"
    nodes = _tree(lines)
    if sum(node.kind == "TableExpression" for node in nodes) > MOST_TABLES:
        raise ListeningError(f"the SQL reads more than {MOST_TABLES} tables or subqueries: ask in several statements")
    for node in nodes:
        match node.kind:
            case "Function":
                _check_function(node, has)
            # Without a database it is the run's, or a WITH of the statement's own: the engine knows no third.
            case "TableIdentifier" if not re.fullmatch(rf"(?:{re.escape(database)}\.)?\w+", node.name):
                raise ListeningError(f"{node.name} is no table of this run: {has}")
            # A column mostly, but a table on the right of IN.
            case "Identifier" if node.name.startswith(others):
                raise ListeningError(f"{node.name} is named as if of another database than this run's: {has}")
            case "Literal" if node.parent and node.parent.kind == "SelectWithUnionQuery":
                raise ListeningError("INTO OUTFILE is not for here: the answer is what the SELECT returns")


def _tree(lines: Iterable[str]) -> list[Node]:
    """All nodes in the order of their lines."""
    nodes: list[Node] = []
    path: list[Node] = []
    for line in lines:
        match = _LINE.fullmatch(line)
        depth, kind, rest = (len(match[1]), match[2], match[3]) if match else (0, line.strip()[:40], "")
        name = _CHILDREN.sub("", rest).partition(" (alias ")[0]
        known = name.startswith(" ") if kind in _NAMED else kind in _BARE and not name
        if not known or depth > len(path):
            raise ListeningError(f"{_SPELLED.get(kind, kind)} is not for here: only a plain SELECT over the run's tables is")
        if "aggregatefunction" in line.lower():
            raise ListeningError("AggregateFunction is no type for here: states come from aggregates only")
        path = path[:depth]
        node = Node(kind, name[1:], path[-1] if path else None)
        if path:
            path[-1].children.append(node)
        path.append(node)
        nodes.append(node)
    return nodes


def _check_function(node: Node, has: str) -> None:
    if node.parent and node.parent.kind == "TableExpression":
        if node.name not in functions.tables():
            known = " and ".join(sorted(functions.tables()))
            raise ListeningError(f"the table function {node.name} is not for here: only {known} are, and {has}")
    elif not functions.is_admitted(node.name):
        raise ListeningError(
            f"the function {node.name} is not for here: those that are stand in pipeline/store/{functions.FILE.name}, "
            "and none reads anything but what it is given"
        )
    elif node.name.lower() in _CASTS:
        # The type could be AggregateFunction: the engine would take a user's bytes for an aggregate's state, unchecked.
        arguments = node.children[0].children if node.children else []
        if len(arguments) < 2 or arguments[1].kind != "Literal" or not _PLAIN_TYPE.fullmatch(arguments[1].name):
            raise ListeningError("a CAST is to a type that is written out, such as CAST(x AS DateTime64(3, 'UTC'))")
