"""Workers of a Ray cluster: each holds what the work needs, and batches are streamed through them.

Batches and rows travel as JSON Lines. A worker that dies is replaced and its batches are computed
again; they are returned in order, so nothing is lost or there twice. Where the computation of a
batch fails, its rows are tried one by one, and those that fail alone are unknown.

Source: Ray Data's actor pools (docs.ray.io, `Dataset.map_batches`), version 2.60.
"""

import json
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from detoxlab.errors import DetoxlabError, EngineError
from detoxlab.progress import say
from detoxlab.records import from_json, to_line
from detoxlab.workers.base import Compute, Work

STORE_BYTES = 1 << 30  # of a cluster on this machine; more goes to its disk
QUIET = ("ray", "ray.data")
SILENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}


class RayWorkers:
    """The workers of a cluster; use it as a context manager.

    It is the cluster that the environment's RAY_ADDRESS names, else one on this machine for as long
    as the block lasts. Where this process has begun Ray already, that cluster
    is used and goes on. Several stages share the cluster, and each has workers of its own.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers
        self.begun = False

    def __enter__(self) -> "RayWorkers":
        for name, value in SILENT.items():
            os.environ.setdefault(name, value)
        import ray

        if not ray.is_initialized():
            self._begin()
        place = os.environ.get("RAY_ADDRESS") or "on this machine"
        say(f"ray: {self._count(gpu=False)} workers, {place}")
        return self

    def __exit__(self, *_: object) -> None:
        import ray

        if self.begun:
            self.begun = False
            ray.shutdown()

    def record(self) -> dict[str, Any]:
        """The entry of `run.json`."""
        return {"workers": {"engine": "ray", "count": self._count(gpu=False)}}

    def results(
        self, work: Work, here: Compute, batches: Sequence[Sequence[Any]]
    ) -> Iterator[Sequence[Any]]:
        """The records of each batch, in the order of the batches.

        Raises the worker's error where it says what is wrong with the settings.
        """
        del here
        if not batches:
            return
        from ray.exceptions import RayError

        try:
            for row in self._dataset(work, batches).iter_rows():
                if row["refused"]:
                    message, remedy = json.loads(row["refused"])
                    raise EngineError(message, remedy=remedy)
                yield records(work.made, row["rows"])
        except RayError as error:
            cause = type(getattr(error, "cause", error) or error).__name__
            raise EngineError(
                f"ray: a worker could not go on ({cause})",
                remedy="Its log is in Ray's session folder; go on with --resume.",
            ) from None

    # --- inside ---

    def _begin(self) -> None:
        import ray

        named = os.environ.get("RAY_ADDRESS")
        try:
            ray.init(
                num_cpus=None if named else self.workers,
                object_store_memory=None if named else STORE_BYTES,
                include_dashboard=None if named else False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise EngineError(
                f"--on {named or 'ray'}: no cluster ({type(error).__name__})",
                remedy="Begin one with `ray start --head`, and set RAY_ADDRESS=HOST:6379; where "
                "its log names a token, set RAY_AUTH_MODE=token with the same ~/.ray/auth_token.",
            ) from None
        self.begun = True

    def _dataset(self, work: Work, batches: Sequence[Sequence[Any]]) -> Any:
        from ray.data import ActorPoolStrategy, DataContext, from_items

        for name in QUIET:
            logging.getLogger(name).setLevel(logging.ERROR)
        context = DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        gpu = work.on_gpu and _resource("GPU") > 0
        size = min(self._count(gpu=gpu), len(batches))
        items = [{"batch": lines(batch)} for batch in batches]
        return from_items(items, override_num_blocks=len(items)).map_batches(
            worker_of(work),
            batch_size=1,
            compute=ActorPoolStrategy(size=size),
            num_cpus=1,
            num_gpus=1 if gpu else None,
        )

    def _count(self, *, gpu: bool) -> int:
        """Workers: as many as asked for, else one for each GPU or CPU of the cluster."""
        return self.workers or max(1, _resource("GPU" if gpu else "CPU"))


def _resource(name: str) -> int:
    import ray

    found: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return int(found.get(name, 0))


def lines(rows: Iterable[Any]) -> str:
    """Records as JSON Lines."""
    return "".join(map(to_line, rows))


def records(kind: type[Any], text: str) -> list[Any]:
    """The records of JSON Lines."""
    return [from_json(kind, json.loads(line)) for line in text.split("\n")[:-1]]


def worker_of(work: Work) -> type:
    """The class whose instances compute batches of this work, for Ray.

    Its `__call__` returns one row: the records as JSON Lines, or cause and remedy of an error.
    """

    class Worker:
        def __init__(self) -> None:
            self.compute: Compute | None = None

        def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
            made, refused = "", ""
            try:
                self.compute = self.compute or work.begin()
                rows = records(work.asked, batch["batch"][0])
                made = lines(computed(work, self.compute, rows))
            except DetoxlabError as error:
                refused = json.dumps([error.message, error.remedy])
            return {"rows": [made], "refused": [refused]}

    return Worker


def computed(work: Work, compute: Compute, rows: Sequence[Any]) -> list[Any]:
    """The records of a batch; where it fails, those of each row, and unknown where that fails."""
    try:
        return list(compute(rows))
    except DetoxlabError:
        raise
    # A model or scorer may be anybody's, and one row must not take the others with it.
    except Exception as error:  # noqa: BLE001
        if len(rows) > 1:
            return [made for row in rows for made in computed(work, compute, [row])]
        return list(work.unknown(rows[0], f"failed: {type(error).__name__}"))
