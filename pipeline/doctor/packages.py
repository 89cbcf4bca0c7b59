"""Python and the installed packages against what the project asks for."""

import sys
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from pipeline.doctor.findings import Finding

SUBJECT = "packages"
PROJECT = "listening"
PINNED = ("faust-streaming", "mode-streaming", "aiokafka")
"""Exactly these versions: private parts of them are overridden (pipeline/faustlib)."""
SETUP = "run `make setup` again"


@dataclass(frozen=True, slots=True)
class Package:
    """A requirement: `wanted` as in pyproject.toml (`==0.15.3`), `installed` None where it is missing."""

    name: str
    wanted: str
    installed: str | None


@dataclass(frozen=True, slots=True)
class Packages:
    """`python_wanted`: the project's own bound, empty where its metadata isn't there: then `every` is empty too."""

    python: str
    python_wanted: str
    every: tuple[Package, ...]


def gather(project: str = PROJECT) -> Packages:
    """What is installed in this Python."""
    python = ".".join(map(str, sys.version_info[:3]))
    try:
        about = metadata.metadata(project)
        asked = [Requirement(line) for line in metadata.requires(project) or []]
    except metadata.PackageNotFoundError:
        return Packages(python, "", ())
    applying = [entry for entry in asked if entry.marker is None or entry.marker.evaluate({"extra": ""})]
    packages = [Package(entry.name, str(entry.specifier), _installed(entry.name)) for entry in applying]
    return Packages(python, about["Requires-Python"] or "", tuple(packages))


def judge(packages: Packages) -> list[Finding]:
    """Findings of Python and the packages."""
    if not packages.every:
        found = f"not checked: Python {packages.python} knows no package {PROJECT}, so nothing says what it needs"
        return [Finding("note", SUBJECT, found, SETUP)]
    findings = []
    if not SpecifierSet(packages.python_wanted).contains(packages.python, prereleases=True):
        found = f"Python {packages.python} runs this, {packages.python_wanted} is needed"
        findings.append(Finding("problem", SUBJECT, found, "run `make clean setup PYTHON=…` with such a Python"))
    findings += [_differs(package) for package in packages.every if not _fits(package)]
    if not findings:
        pins = ", ".join(f"{package.name} {package.installed}" for package in packages.every if package.name in PINNED)
        count = len(packages.every)
        findings.append(Finding("ok", SUBJECT, f"Python {packages.python}, {count} packages as asked for; {pins}"))
    return findings


def _differs(package: Package) -> Finding:
    there = f"{package.installed} is installed" if package.installed else "it is not installed"
    found = f"{package.name}{package.wanted} is needed, {there}"
    if package.name in PINNED:
        return Finding(
            "problem", SUBJECT, f"{found}: its private parts are overridden, any other version may lose events", SETUP
        )
    return Finding("warning" if package.installed else "problem", SUBJECT, found, SETUP)


def _fits(package: Package) -> bool:
    return package.installed is not None and SpecifierSet(package.wanted).contains(package.installed, prereleases=True)


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
