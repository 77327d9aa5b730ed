"""Loads a scorer at a service by its name."""

from collections.abc import Sequence

from detoxlab.progress import say
from detoxlab.scorers.remote.moderation import MODEL, Moderation
from detoxlab.scorers.remote.names import RemoteName, languages_of, place_of, rate_of
from detoxlab.scorers.remote.perspective import Perspective
from detoxlab.scorers.remote.scorer import RemoteScorer
from detoxlab.servers import USUAL_RETRIES, Retries

CONCURRENCY, TIMEOUT_SECONDS = 16, 20.0


def load_remote(
    name: str,
    *,
    languages: Sequence[str] | None = None,
    model: str = MODEL,
    api_key_env: str | None = None,
    requests_per_second: float | None = None,
    concurrency: int = CONCURRENCY,
    timeout_seconds: float = TIMEOUT_SECONDS,
    retries: Retries = USUAL_RETRIES,
) -> RemoteScorer:
    """The scorer at a service, `perspective` or `openai-moderation`; it asks nobody yet.

    Address, key, rate and `languages` are those of the environment where they are not given here.
    `languages` are of Perspective alone, `model` is of moderations. The id has the server's host
    and, in brackets, what else changes scores: chosen attributes, languages, another model.
    Raises the errors of `check_remote`.
    """
    found = RemoteName.read(name)
    service = found.service
    place = place_of(found, api_key_env)
    attributes = found.attributes or service.attributes
    dialect: Perspective | Moderation
    if service.name == "perspective":
        asked = languages_of() if languages is None else tuple(languages)
        dialect, changed = Perspective(attributes, asked), ",".join(asked)
    else:
        dialect, changed = Moderation(attributes, model), model if model != MODEL else ""
    if service.notice and place.is_public:
        say(f"{service.name}: {service.notice}")
    chosen = "#" + "+".join(attributes) if found.attributes else ""
    return RemoteScorer(
        dialect,
        place,
        scorer_id=f"{service.name}@{place.host}{chosen}" + (f"[{changed}]" if changed else ""),
        requests_per_second=requests_per_second or rate_of(service, place),
        concurrency=concurrency,
        timeout_seconds=timeout_seconds,
        retries=retries,
    )
