"""The metrics that workers write as text files (pipeline/metrics.py), as one: counters of all that ever ran are added up, of
a gauge the file that was written last stands."""

from collections.abc import Iterable
from pathlib import Path

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

Labels = tuple[tuple[str, str], ...]


def merged(folder: Path, without: Iterable[str] = ()) -> list[Metric]:
    """Families of all files of the folder, but those of the names `without`. A file that is none is passed over."""
    left_out, families = set(without), dict[str, Metric]()
    values: dict[str, dict[tuple[str, Labels], float]] = {}
    for path in sorted(folder.glob("*.prom"), key=_written):
        for family in _families(path):
            if family.name in left_out or family.name.endswith("_created"):
                continue
            families.setdefault(family.name, family)
            into = values.setdefault(family.name, {})
            for sample in family.samples:
                key = (sample.name, tuple(sorted(sample.labels.items())))
                into[key] = sample.value + (into.get(key, 0.0) if family.type == "counter" else 0.0)
    return [_family(families[name], values[name]) for name in sorted(families)]


def _written(path: Path) -> tuple[float, str]:
    try:
        return path.stat().st_mtime, path.name
    except OSError:  # gone meanwhile
        return 0.0, path.name


def _families(path: Path) -> list[Metric]:
    try:
        return list(text_string_to_metric_families(path.read_text()))
    except (OSError, ValueError):
        return []


def _family(like: Metric, values: dict[tuple[str, Labels], float]) -> Metric:
    family = Metric(like.name, like.documentation, like.type)
    for (name, labels), value in values.items():
        family.add_sample(name, dict(labels), value)
    return family
