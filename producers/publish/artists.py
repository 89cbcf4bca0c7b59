"""Names of artists to the compacted topic `artists`."""

import io
from typing import Any

import fastavro

import schemas
from pipeline.codec.events import FRAME, key_of
from pipeline.settings import Settings
from pipeline.topics import topics_of
from producers.catalogue.artists import Catalogue
from producers.interrupt import Interrupt
from producers.publish.clients import flush, gave_up, kafka_producer


def publish_artists(settings: Settings, catalogue: Catalogue, interrupt: Interrupt) -> None:
    """Write every artist; returns when the broker has them all. Raises UnavailableError."""
    topic, producer = topics_of(settings).artists.name, kafka_producer(settings)
    frame = FRAME.pack(0, schemas.schema_id(schemas.ARTISTS_SUBJECT, 1))
    schema = fastavro.parse_schema(schemas.schema(schemas.ARTISTS_SUBJECT, 1))
    errors: list[Any] = []

    def answered(error: Any, _message: Any) -> None:
        if error is not None:
            errors.append(error)

    for artist_id, name in zip(catalogue.artist_ids.tolist(), catalogue.names, strict=True):
        body = io.BytesIO()
        fastavro.schemaless_writer(body, schema, {"artist_id": artist_id, "name": name})
        while True:
            try:
                producer.produce(topic, frame + body.getvalue(), key_of(artist_id), on_delivery=answered)
                break
            except BufferError:
                flush(producer, settings, interrupt)
    flush(producer, settings, interrupt)
    if errors:
        raise gave_up(settings, f"did not take the artists' names ({errors[0].str()})")
