"""Settings: environment variables with the prefix LISTENING_, validated once, frozen."""

import difflib
import os
import re
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

import schemas
from pipeline.errors import SettingsError
from pipeline.rules import Rules

PREFIX = "LISTENING_"


def _default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "listening"


class Settings(BaseSettings):
    """Everything that can be set. Durations are whole seconds, sizes bytes unless the name says otherwise."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    run: str = Field("live", description="name of the run: prefix of its topics, groups, database and data folder")
    data_dir: Path = Field(Path(".listening"), description="folder of the embedded broker and of every run's data")
    cache_dir: Path = Field(default_factory=_default_cache, description="folder of downloaded broker jars")

    kafka_bootstrap: str | None = Field(None, description="an existing Kafka's bootstrap servers; unset: embedded")
    kafka_port: int = Field(19092, ge=1, le=65535, description="port of the embedded broker on 127.0.0.1")
    kafka_controller_port: int = Field(19093, ge=1, le=65535, description="port of the embedded broker's controller")
    kafka_heap_mb: int = Field(384, ge=128, description="heap of the embedded broker")
    schema_registry_url: str | None = Field(
        None, description="a Confluent-compatible schema registry; unset: the schemas folder"
    )
    schemas_dir: Path = Field(schemas.FOLDER, description="folder that is the embedded schema registry")
    clickhouse_dsn: str | None = Field(None, description="an existing ClickHouse server's DSN; unset: embedded engine")
    store_host: str = Field("127.0.0.1", description="address on which the store serves HTTP")
    store_port: int = Field(18123, ge=1, le=65535, description="port on which the store serves HTTP")

    api_cache_seconds: float = Field(
        1.0, ge=0, le=60, description="how old an answer of the query API may be; each answer says its age"
    )
    api_keys_file: Path | None = Field(
        None, description="file of the hashed API keys (`listening keys`); unset: api-keys.json in the data folder"
    )
    api_key: SecretStr | None = Field(
        None, description="the API key that `listening` commands send to a store that asks for one"
    )
    gateway_host: str = Field("127.0.0.1", description="address on which the ingest gateway serves HTTP")
    gateway_port: int = Field(18124, ge=1, le=65535, description="port on which the ingest gateway serves HTTP")
    gateway_limit_events: int = Field(
        60_000,
        ge=1,
        description="events that a key may publish in any window of gateway_limit_seconds, unless its own says more",
    )
    gateway_limit_seconds: int = Field(60, ge=1, le=3600, description="length of the gateway's sliding rate limit")
    gateway_body_bytes: int = Field(1 << 20, ge=1 << 10, le=64 << 20, description="largest body that the gateway takes")
    gateway_batch_events: int = Field(1_000, ge=1, le=100_000, description="most events in one call of the gateway")
    gateway_in_flight_events: int = Field(
        20_000, ge=1, description="events that wait for Kafka's acknowledgement, beyond which the gateway answers 503"
    )
    gateway_ack_seconds: float = Field(
        10.0, gt=0, le=60, description="how long the gateway waits for Kafka's acknowledgement before it answers 503"
    )
    gateway_client_seconds: float = Field(
        10.0, gt=0, le=300, description="how long a client of the gateway may take to send headers, and then the body"
    )
    gateway_lease_seconds: float = Field(
        30.0, gt=0, description="how long a call in flight holds its Idempotency-Key before another may take it over"
    )
    gateway_keep_seconds: int = Field(
        86_400, ge=60, description="how long the answer to an Idempotency-Key is kept, at least"
    )

    partitions: int = Field(4, ge=1, le=256, description="partitions of playback-events; fixed for a run")
    shards: int = Field(1, ge=1, le=64, description="partitions of artist-counts, split by artist; fixed for a run")
    append_time: bool = Field(
        True, description="broker time is when the broker appended (a live run); false: the record's own time (a replay)"
    )

    horizon_seconds: int = Field(7200, ge=1, description="how long an event id is remembered, in event time")
    grace_seconds: int = Field(60, ge=1, description="how late an event may come and still count")
    slot_seconds: int = Field(300, ge=1, description="granularity in which ids are forgotten")
    pane_seconds: int = Field(10, ge=1, description="length of a pane; windows slide by one")
    window_seconds: int = Field(3600, ge=1, description="length of the ranked window, whole panes")
    max_ahead_seconds: int = Field(600, ge=0, description="how far ahead a client clock may be")
    min_play_seconds: int = Field(30, ge=1, description="shortest play that counts")
    near_duplicates: Literal["off", "mark", "drop"] = Field(
        "mark", description="plays that another service reported already: off (not looked for), mark (they count) or drop"
    )
    near_tolerance_seconds: int = Field(
        60, ge=1, description="how far apart in played_at two services may report one listen"
    )
    top_k: int = Field(100, ge=1, le=10_000, description="length of the ranked lists that are published")

    keep_seconds: int | None = Field(
        None,
        ge=0,
        description="event time of plays and artist-counts kept behind what every reader needs; unset: all is kept",
    )
    trim_every_seconds: float = Field(60.0, gt=0, description="how often the store looks for what may be deleted")

    fast_fetch: bool = Field(True, description="decode record batches as columns; off: record by record")
    fetch_bytes: int = Field(2 << 20, ge=1 << 14, description="most bytes fetched of a partition at once")
    session_seconds: float = Field(10.0, ge=6, le=25, description="after how long without a heartbeat a worker is replaced")
    dlq_ceiling_ratio: float = Field(0.5, gt=0, le=1, description="share of invalid events that stops classify")
    dlq_ceiling_events: int = Field(20_000, ge=1, description="events over which that share is taken")
    dlq_ceiling_consecutive: int = Field(
        1_000, ge=1, description="invalid events of a partition in a row that stop classify"
    )

    @field_validator("run")
    @classmethod
    def _run_is_a_name(cls, run: str) -> str:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,39}", run):
            raise ValueError("must be 1 to 40 of a-z, 0-9 and '-', and begin with a letter")
        return run

    @model_validator(mode="after")
    def _windows_are_whole_panes(self) -> "Settings":
        if self.window_seconds % self.pane_seconds:
            raise ValueError(
                f"{PREFIX}WINDOW_SECONDS ({self.window_seconds}) must be a whole number of panes of "
                f"{PREFIX}PANE_SECONDS ({self.pane_seconds})"
            )
        return self

    @cached_property
    def rules(self) -> Rules:
        """The rules of this run, in milliseconds."""
        return Rules(
            partitions=self.partitions,
            horizon_ms=self.horizon_seconds * 1000,
            grace_ms=self.grace_seconds * 1000,
            slot_ms=self.slot_seconds * 1000,
            pane_ms=self.pane_seconds * 1000,
            max_ahead_ms=self.max_ahead_seconds * 1000,
            min_play_ms=self.min_play_seconds * 1000,
            near_duplicates=self.near_duplicates,
            near_tolerance_ms=self.near_tolerance_seconds * 1000,
            plausibility=schemas.limits().fingerprint,
        )

    @property
    def bootstrap(self) -> str:
        """Where Kafka is, embedded or not."""
        return self.kafka_bootstrap or f"127.0.0.1:{self.kafka_port}"

    @property
    def database(self) -> str:
        """The ClickHouse database of the run."""
        return "listening_" + self.run.replace("-", "_")

    @property
    def run_dir(self) -> Path:
        """The run's folder, absolute: store, ledger, worker files, logs."""
        return self.data_dir.absolute() / "runs" / self.run

    @property
    def store_dir(self) -> Path:
        """The embedded engine's folder."""
        return self.run_dir / "store"

    @property
    def ledger_dir(self) -> Path:
        """Where producers of this run write their ledgers, one Parquet file a producing session."""
        return self.run_dir / "ledger"

    @property
    def store_url(self) -> str:
        return _url(self.store_host, self.store_port)

    @property
    def keys_file(self) -> Path:
        """The hashed API keys."""
        return self.api_keys_file or self.data_dir.absolute() / "api-keys.json"

    @property
    def gateway_dir(self) -> Path:
        """The gateway's folder: its state and its audit log, shared by all gateway processes of the run."""
        return self.run_dir / "gateway"

    @property
    def gateway_url(self) -> str:
        return _url(self.gateway_host, self.gateway_port)


def load(**overrides: Any) -> Settings:
    """Read the settings from the environment; `overrides` (None: not given) win.

    Raises SettingsError naming the variable, its value and what it may be; also for a variable that is none of them, which
    would otherwise be a setting that somebody believes in.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    if unknown := sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known):
        raise SettingsError("; ".join(_unknown(name, known) for name in unknown))
    try:
        settings = Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        raise SettingsError("; ".join(_sentence(detail) for detail in error.errors())) from None
    settings.rules  # noqa: B018  (validated here, not at its first use in a worker)
    return settings


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _unknown(name: str, known: set[str]) -> str:
    endings = {setting.removeprefix(PREFIX): setting for setting in sorted(known)}
    close = difflib.get_close_matches(name.upper().removeprefix(PREFIX), endings, n=1)
    meant = f"is {endings[close[0]]} meant?" if close else "unset it; `listening settings` lists those there are"
    return f"{name} is no setting: {meant}"


def _sentence(detail: Any) -> str:
    message = detail["msg"].removeprefix("Value error, ")
    if not detail["loc"]:
        return str(message)
    return f"{PREFIX}{str(detail['loc'][0]).upper()}={detail['input']!r}: {message}"
