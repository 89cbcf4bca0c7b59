"""`listening tick`: time in the log, for producers that write none."""

import time
from typing import Annotated

import typer

from pipeline.commands.shared import Json, Run, instant, out, print_json, with_broker
from pipeline.report import clock as readable

EARLIEST_MS = 946_684_800_000
"""2000-01-01: an earlier tick would be invalid."""


def tick(
    every: Annotated[float | None, typer.Option(min=0.1, help="Go on, one each so many seconds, until Ctrl-C.")] = None,
    behind: Annotated[float, typer.Option(min=0, help="Seconds that your producers may still hold an event back.")] = 0.0,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="This instant (ISO 8601, UTC) instead of now.")] = None,
    run: Run = None,
    as_json: Json = False,
) -> None:
    """Tell the run how late it is, beside other people's producers: windows close also where nothing is played.

    A tick of T says that everything before T has been sent. It is written to every partition and counted as nothing else.
    """
    from pipeline.admin import require_run
    from producers.interrupt import Interrupt
    from producers.publish.pace import now_ms
    from producers.publish.ticks import Ticker

    if at is not None and every is not None:
        raise typer.BadParameter("--at is one instant and --every goes on: give one of them")
    fixed, chosen = instant(at, "--at"), with_broker(run)
    require_run(chosen)
    with Interrupt() as interrupt:
        ticker = Ticker(chosen, interrupt)
        try:
            while True:
                began = time.monotonic()
                clock = (now_ms() if fixed is None else fixed) - int(behind * 1000)
                if clock < EARLIEST_MS:
                    raise typer.BadParameter(f"a tick can't be before {readable(EARLIEST_MS)[:10]}")
                ticker.tick(clock)
                if as_json:
                    print_json({"run": chosen.run, "clock": clock, "partitions": chosen.partitions})
                else:
                    out.print(f"run {chosen.run}: {readable(clock)} UTC in {chosen.partitions} partitions")
                if every is None:
                    return
                while (left := began + every - time.monotonic()) > 0:
                    interrupt.check()
                    time.sleep(min(left, 0.2))
        except KeyboardInterrupt:
            return
