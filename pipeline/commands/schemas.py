"""`listening schemas list|check|add`: versions of the schemas, in the folder or the registry that the settings name."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from pipeline import settings
from pipeline.commands.shared import Json, Run, out, print_json
from pipeline.errors import Exit, ListeningError, RefusedError
from pipeline.registry.of_run import open_registry, subject_of
from pipeline.registry.registry import Registry
from schemas import EVENTS_SUBJECT

app = typer.Typer(name="schemas", help="The schema registry: list, check and add versions.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(metavar="FILE", help="An Avro schema, .avsc.")]
Subject = Annotated[str, typer.Option(help="The subject that it would be a version of.")]
Listed = Annotated[str, typer.Option(help="The subject whose versions are listed.")]


@app.command("list")
def list_versions(subject: Listed = EVENTS_SUBJECT, run: Run = None, as_json: Json = False) -> None:
    """The versions of a subject with their ids."""
    chosen = settings.load(run=run)
    registry, name = open_registry(chosen), subject_of(chosen, subject)
    versions, mode = registry.versions(name), registry.mode(name)
    if not versions:
        raise ListeningError(f"{registry.where} has no subject {name}")
    if as_json:
        found = [{"version": entry.version, "id": entry.schema_id} for entry in versions]
        print_json({"subject": name, "compatibility": mode, "registry": registry.where, "versions": found})
        return
    out.print(f"{name} in {registry.where}, compatibility {mode}", markup=False, soft_wrap=True)
    table = Table("version", "id")
    for entry in versions:
        table.add_row(str(entry.version), str(entry.schema_id))
    out.print(table)


@app.command()
def check(file: File, subject: Subject = EVENTS_SUBJECT, run: Run = None, as_json: Json = False) -> None:
    """Whether the file could be the subject's next version; exit 1 where not. Writes nothing."""
    chosen = settings.load(run=run)
    registry, name = open_registry(chosen), subject_of(chosen, subject)
    against = _against(registry, name, subject, _text(file), file)
    if as_json:
        print_json({"file": str(file), "subject": name, "compatible": not against, "problems": against})
    elif against:
        out.print(f"{file} can't be the next version of {name}:", markup=False)
        for sentence in against:
            out.print(f"  {sentence}", markup=False)
    else:
        out.print(f"{file} can be the next version of {name} ({registry.mode(name)})", markup=False)
    if against:
        raise typer.Exit(Exit.CHECK_FAILED)


@app.command()
def add(file: File, subject: Subject = EVENTS_SUBJECT, run: Run = None, as_json: Json = False) -> None:
    """Make the file the next version of the subject, with an id of its own. What does not fit is refused unwritten."""
    chosen = settings.load(run=run)
    registry, name, text = open_registry(chosen), subject_of(chosen, subject), _text(file)
    against = _against(registry, name, subject, text, file)
    if against:
        raise RefusedError(f"{file} is not added to {name}: {'; '.join(against)}")
    added = registry.add(name, text)
    if as_json:
        print_json({"subject": name, "version": added.version, "id": added.schema_id, "registry": registry.where})
    else:
        out.print(f"{name} version {added.version} has the id {added.schema_id}, in {registry.where}", markup=False)


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ListeningError(f"{file} can't be read: {getattr(error, 'strerror', None) or error}") from error


def _against(registry: Registry, name: str, subject: str, text: str, file: Path) -> list[str]:
    """Why it may not be the next version of `name`; raises ListeningError where it is no schema at all."""
    from pipeline.codec.writer import UnreadableSchemaError, writer_of
    from pipeline.registry.compatibility import parse, why_not_next

    document: dict[str, Any] = parse(text, str(file))
    earlier = registry.versions(name)
    same = [entry for entry in earlier if parse(entry.text, f"{name} version {entry.version}") == document]
    if same:
        return [f"it is version {same[0].version} already, with the id {same[0].schema_id}"]
    against = why_not_next(document, earlier, registry.mode(name))
    if subject == EVENTS_SUBJECT and not against:
        try:
            writer_of(0, text)
        except UnreadableSchemaError as error:
            against.append(f"classify could not read its events: {error}")
    return against
