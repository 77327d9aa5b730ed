"""The settings of a server."""

from pathlib import Path

from pydantic import Field

from detoxlab.settings import Settings

KEYS = "DETOXLAB_SERVE_KEYS"


class ServeSettings(Settings):
    """One `serve` command."""

    scorers: tuple[str, ...] = Field(
        min_length=1,
        description="scorers by name; the first that has an attribute answers for it",
    )
    host: str = Field("127.0.0.1", description="address to listen at; 0.0.0.0 is every network")
    port: int = Field(8080, ge=0, le=65535, description="port; 0 takes a free one and prints it")
    public_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$",
        description="URL under which clients reach the server, where that is not the request's own",
    )
    workers: int = Field(1, ge=1, le=64, description="processes that score")
    threads: int | None = Field(
        None, ge=1, description="threads of each; none: the cores, shared among the processes"
    )
    batch_size: int = Field(64, ge=1, le=4096, description="texts scored at once; 1: no batching")
    batch_wait: float = Field(
        0.0, ge=0, le=1, description="seconds that a text waits for others while a process is idle"
    )
    queue: int = Field(
        4096, ge=1, description="texts that may wait; requests beyond are answered 429"
    )
    queue_wait: float = Field(
        30.0, gt=0, description="seconds until a text has its scores, or is answered 429"
    )
    max_body: int = Field(1 << 20, ge=1024, description="bytes of a request's body")
    max_batch: int = Field(16 << 20, ge=1024, description="bytes of the body of a batch")
    max_text: int = Field(20_480, ge=1, description="bytes of a text in UTF-8")
    max_parts: int = Field(1000, ge=1, description="parts of a batch, texts of a moderation")
    max_connections: int = Field(1000, ge=1, description="connections that are open at once")
    header_timeout: float = Field(10.0, gt=0, description="seconds for a request's head to arrive")
    body_timeout: float = Field(
        30.0, gt=0, description="seconds for its body to arrive, and for its answer to be taken"
    )
    keep_alive: float = Field(75.0, gt=0, description="seconds that an unused connection is kept")
    grace: float = Field(
        30.0, gt=0, description="seconds at the end for requests that were accepted"
    )
    keys_from: str = Field(
        KEYS,
        description="environment variable with the API keys, separated by commas; unset: no keys",
    )
    feedback: Path | None = Field(
        None, description="file that suggested scores are appended to, with their texts"
    )
    fill_unknown: bool = Field(
        False, description="moderations: fill categories that no scorer judges with false and 0"
    )
