"""Scenario files: YAML, checked field by field. A mistake is one sentence with file, line and field."""

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from pipeline.errors import Exit, ListeningError
from producers.scenarios.model import Scenario

FOLDER = Path(__file__).parent


class ScenarioError(ListeningError):
    """A scenario that can't be: which file, where in it, and why."""

    exit_code = Exit.USAGE


def scenario_names() -> list[str]:
    """The scenarios that come with the project, in order."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_scenario(name_or_path: str) -> Scenario:
    """The scenario of that name, or in that YAML file. Raises ScenarioError."""
    path = FOLDER / f"{name_or_path}.yaml"
    if name_or_path not in scenario_names():
        path = Path(name_or_path)
        if not path.exists():
            raise ScenarioError(
                f"there is no scenario {name_or_path}, and no file of that name; there are {', '.join(scenario_names())}"
            )
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path} can't be read: {getattr(error, 'strerror', None) or error}") from error
    return parse_scenario(text, path)


def parse_scenario(text: str, path: Path) -> Scenario:
    """The scenario that a file's text describes; it is named after the file. Raises ScenarioError."""
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise ScenarioError(f"{path}: a scenario is a mapping of fields, such as `minutes: 90`")
        _refuse_repeated(node, path)
        document = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ScenarioError(f"{path}, line {line}: this is no YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ScenarioError(f"{path}: this is no YAML: {' '.join(str(error).split())}") from None
    try:
        return Scenario.model_validate({"name": path.stem} | document)
    except ValidationError as error:
        detail = error.errors()[0]
        where = ".".join(map(str, detail["loc"]))
        message = _MESSAGES.get(detail["type"], detail["msg"].removeprefix("Value error, "))
        said = f"{where}: {message}" if where else message
        # What is wrong between fields is told with the first of them in front.
        place = detail["loc"] or message.partition(" ")[0].split(".")
        raise ScenarioError(f"{path}, line {_line(node, place)}: {said}") from None


_MESSAGES = {"extra_forbidden": "there is no such field", "missing": "this field is missing"}


def _line(node: yaml.Node, place: Sequence[Any]) -> int:
    """The line of the deepest part of the place that the file has."""
    line = node.start_mark.line
    for step in place:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(step)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line, found[1]
        elif isinstance(node, yaml.SequenceNode) and str(step).isdigit() and int(step) < len(node.value):
            node = node.value[int(step)]
            line = node.start_mark.line
        else:
            break
    return line + 1


def _refuse_repeated(node: yaml.Node, path: Path) -> None:
    """Raise ScenarioError for a field that is there twice: YAML would take the last one."""
    if isinstance(node, yaml.SequenceNode):
        for entry in node.value:
            _refuse_repeated(entry, path)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[Hashable] = set()
    for key, value in node.value:
        if key.value in seen:
            raise ScenarioError(f"{path}, line {key.start_mark.line + 1}: {key.value}: this field is there twice")
        if isinstance(key.value, Hashable):
            seen.add(key.value)
        _refuse_repeated(value, path)
