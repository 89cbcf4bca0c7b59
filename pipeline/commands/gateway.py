"""`listening gateway`: events over HTTP into the run."""

from typing import Annotated

import typer

from pipeline import settings
from pipeline.commands.shared import Json, Run


def gateway(
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port, instead of LISTENING_GATEWAY_PORT.")] = None,
    run: Run = None,
    as_json: Json = False,
) -> None:
    """Take events over HTTP until Ctrl-C: API keys, rate limits, Idempotency-Keys; answered when Kafka has them.

    `listening keys add NAME` makes the key that a client sends. It runs beside `listening up`, once for each port.
    """
    from producers.gateway.serve import serve

    serve(settings.load(run=run, gateway_port=port), as_json=as_json)
