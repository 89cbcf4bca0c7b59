"""`listening dlq list|show|replay`: the dead-letter queue."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from pipeline.commands.shared import Json, Run, out, print_json, with_broker
from pipeline.dlq.fates import STAYS, Fate
from pipeline.dlq.letters import Letter
from pipeline.errors import ListeningError
from pipeline.report import clock
from pipeline.settings import Settings

app = typer.Typer(name="dlq", help="Refused records: list them, look at one, send them again.", no_args_is_help=True)

Reason = Annotated[str | None, typer.Option(help="Only those refused for this reason, such as unknown_schema.")]
Partition = Annotated[int | None, typer.Option(min=0, help="Only those of this source partition.")]
Offset = Annotated[int | None, typer.Option(min=0, help="Only the one at this source offset; needs --partition.")]


@app.command("list")
def list_letters(
    reason: Reason = None,
    partition: Partition = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at the most, the newest.")] = 20,
    run: Run = None,
    as_json: Json = False,
) -> None:
    """What was refused and why, by where it lies in the source."""
    _, letters = _letters(run, reason, partition, None)
    reasons = Counter(letter.reason for letter in letters)
    shown = sorted(letters, key=lambda letter: letter.appended_at)[-limit:]
    if as_json:
        print_json({"total": len(letters), "reasons": reasons, "letters": [_as_json(letter) for letter in shown]})
        return
    here = " that fit --reason and --partition" if not letters and (reason or partition is not None) else ""
    out.print(f"{len(letters):,} refused records{here}" + (": " if reasons else "") + _counted(reasons))
    if not shown:
        return
    table = Table()
    for heading in ("partition", "offset"):
        table.add_column(heading, justify="right")
    for heading in ("appended, UTC", "reason", "why"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "reason")
    for letter in shown:
        table.add_row(
            str(letter.partition),
            str(letter.offset),
            clock(letter.appended_at),
            escape(_plain(letter.reason)),
            escape(_plain(letter.message)),
        )
    out.print(table)
    if len(shown) < len(letters):
        out.print(f"the newest {len(shown)} of {len(letters):,}: --limit shows more, --reason and --partition fewer")


@app.command()
def show(
    partition: Annotated[int, typer.Argument(min=0, help="Source partition.")],
    offset: Annotated[int, typer.Argument(min=0, help="Source offset.")],
    run: Run = None,
    as_json: Json = False,
) -> None:
    """One refused record: its bytes, headers, and what would become of it now."""
    from pipeline.dlq.replay import predict

    settings, letters = _letters(run, None, partition, offset)
    (letter,) = letters or _none(f"partition {partition}, offset {offset}")
    (fate,) = predict(settings, [letter])
    if as_json:
        print_json(_as_json(letter) | {"sent again": fate.outcome, "sent again, why": fate.why})
        return
    out.print(f"Source partition {letter.partition}, offset {letter.offset}, appended {clock(letter.appended_at)} UTC")
    out.print(f"refused as {_plain(letter.reason)}: {_plain(letter.message)}", markup=False)
    again = "be refused again" if fate.outcome == STAYS else f"end as {fate.outcome}"
    out.print(f"sent again, it would {again}: {_plain(fate.why)}", markup=False)
    out.print(f"key: {_hex(letter.key)}")
    for name, value in letter.headers:
        out.print(f"header {_plain(name)}: {value!r}", markup=False)
    size = letter.left_out or len(letter.value or b"")
    out.print(f"value: {size:,} bytes" + (", too large to be kept here" if letter.left_out else ""))
    if letter.value:
        out.print(_dump(letter.value[:512]), markup=False)
        if len(letter.value) > 512:
            out.print(f"and {len(letter.value) - 512:,} bytes more: --json has them all")
    if letter.copies > 1:
        out.print(f"the queue holds it {letter.copies} times: a crash may repeat an entry, its place identifies it")


@app.command()
def replay(
    reason: Reason = None,
    partition: Partition = None,
    offset: Offset = None,
    yes: Annotated[bool, typer.Option("--yes", help="Really send; without it this only says what would happen.")] = False,
    run: Run = None,
    as_json: Json = False,
) -> None:
    """Send refused records again, each under its right key. Says what will happen before it does."""
    from pipeline.dlq.replay import predict, send

    if offset is not None and partition is None:
        raise typer.BadParameter("--offset needs --partition")
    settings, letters = _letters(run, reason, partition, offset)
    fates = predict(settings, letters)
    wanted = sum(fate.is_sent for fate in fates)
    sent = send(settings, fates) if yes and wanted else 0
    if as_json:
        print_json({"letters": len(fates), "sendable": wanted, "sent": sent, "fates": [_fate_json(fate) for fate in fates]})
        return
    if fates:
        out.print(_fates(fates))
    if sent:
        out.print(f"{sent:,} sent, and acknowledged by the broker")
    elif wanted:
        out.print(f"{wanted:,} would be sent; nothing was: say --yes if you mean it")
    else:
        out.print("there is nothing to send")


def _letters(
    run: str | None, reason: str | None, partition: int | None, offset: int | None
) -> tuple[Settings, list[Letter]]:
    from pipeline.admin import require_run
    from pipeline.dlq.letters import read_letters
    from pipeline.log.read import log_reader

    settings = with_broker(run)
    require_run(settings)
    with log_reader(settings.bootstrap) as reader:
        letters = read_letters(reader, settings)
    return settings, [
        letter
        for letter in letters
        if reason in (None, letter.reason) and partition in (None, letter.partition) and offset in (None, letter.offset)
    ]


def _none(place: str) -> list[Letter]:
    raise ListeningError(f"the dead-letter queue holds nothing of {place}: see `listening dlq list`")


def _fates(fates: Sequence[Fate]) -> Table:
    """By reason and outcome, with how many and one sentence."""
    groups: dict[tuple[str, str], list[Fate]] = {}
    for fate in fates:
        groups.setdefault((fate.letter.reason, fate.outcome), []).append(fate)
    table = Table()
    for heading in ("refused as", "records", "sent again", "for example"):
        table.add_column(heading, justify="right" if heading == "records" else "left", overflow="fold")
    for (reason, outcome), some in sorted(groups.items()):
        first = some[0]
        example = f"{first.letter.partition}/{first.letter.offset}: {escape(_plain(first.why))}"
        table.add_row(escape(_plain(reason)), f"{len(some):,}", "stays here" if outcome == STAYS else outcome, example)
    return table


def _fate_json(fate: Fate) -> dict[str, Any]:
    return {
        "partition": fate.letter.partition,
        "offset": fate.letter.offset,
        "reason": fate.letter.reason,
        "outcome": fate.outcome,
        "why": fate.why,
        "sent to": fate.partition if fate.is_sent else None,
    }


def _as_json(letter: Letter) -> dict[str, Any]:
    return {
        "partition": letter.partition,
        "offset": letter.offset,
        "appended_at": letter.appended_at,
        "reason": letter.reason,
        "message": letter.message,
        "key": letter.key.hex() if letter.key is not None else None,
        "value": letter.value.hex() if letter.value is not None else None,
        "value_bytes": letter.left_out or (len(letter.value) if letter.value is not None else None),
        "headers": [[name, value.hex() if value is not None else None] for name, value in letter.headers],
        "copies": letter.copies,
    }


def _counted(reasons: Counter[str]) -> str:
    return ", ".join(f"{number:,} {escape(_plain(reason))}" for reason, number in reasons.most_common())


def _hex(packed: bytes | None) -> str:
    return "none" if packed is None else f"{packed.hex(' ')} ({len(packed)} bytes)"


def _plain(text: str) -> str:
    """Without control characters, which a record's bytes may smuggle into a terminal. Where the console reads markup, the
    text must be escaped, too."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def _dump(packed: bytes) -> str:
    """Sixteen bytes a line: position, hex, text."""
    lines = []
    for at in range(0, len(packed), 16):
        row = packed[at : at + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"  {at:04x}  {row.hex(' '):<47}  {text}")
    return "\n".join(lines)
