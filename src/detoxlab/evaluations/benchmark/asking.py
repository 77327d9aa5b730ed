"""Tasks of lm-evaluation-harness: loaded by name, and asked question by question.

lm_eval is imported when it is used.
"""

import contextlib
import difflib
import importlib.metadata
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detoxlab.errors import ConfigError, DataError, DependencyError
from detoxlab.evaluations.benchmark import local
from detoxlab.records import ItemResult

if TYPE_CHECKING:
    from detoxlab.evaluations.benchmark.lm import SubjectLM

EXAMPLES_SEED = 1234
"""The harness's own seed for choosing examples, set again before each question."""
NATS, WORDS, BYTES, CUT = "nats", "words", "bytes", "cut"
# Of the harness's metrics, those that are the exponential of a mean: the parts that we keep.
EXPONENTIALS = {
    "perplexity": (NATS,),
    "word_perplexity": (NATS, WORDS),
    "byte_perplexity": (NATS, BYTES),
    "bits_per_byte": (NATS, BYTES),
}
Tasks = dict[str, Any]


def harness_version() -> str:
    """The version of the harness; `DependencyError` without it."""
    try:
        return importlib.metadata.version("lm_eval")
    except importlib.metadata.PackageNotFoundError:
        raise DependencyError(
            "benchmarks need lm-evaluation-harness", remedy="pip install 'detoxlab[eval]'"
        ) from None


@lru_cache(maxsize=2)
def load_tasks(names: tuple[str, ...], folder: str | None, shots: int | None) -> Tasks:
    """The harness's tasks of these names, with their data, from the folder or from the hub.

    A name may be that of one of the harness's groups, which gives the tasks in it. `shots` are the
    examples before each question; None is as each task says, or none.

    Raises `ConfigError` for an unknown task or one with no examples to show, `DependencyError`
    without lm_eval, `DataError` where the data cannot be had.
    """
    harness_version()
    with quiet():
        tasks = _from_hub(names) if folder is None else _from_files(names, Path(folder))
        for name, task in tasks.items():
            if shots and not _has_examples(task):
                raise ConfigError(f"task {name!r}: has no examples to show here", remedy="shots=0")
            if shots is not None or task.config.num_fewshot is None:
                task.set_config("num_fewshot", shots or 0)
    return tasks


def ask(task: Any, indices: Sequence[int], lm: "SubjectLM") -> list[ItemResult]:
    """The results of a task's questions, by their places in its data, in order.

    A result has the numbers of the task's metrics (`values_of`), and `cut` where a context did
    not fit and lost its beginning.
    """
    with quiet():
        asked = [(at, task.eval_docs[at], _requests(task, at)) for at in indices]
        cut = _answer([one for _, _, requests in asked for one in requests], lm)
        for ensemble in _filters(task):
            ensemble.apply([one for _, _, requests in asked for one in requests])
        return [
            _result(task, at, doc, requests, any(cut[id(one)] for one in requests))
            for at, doc, requests in asked
        ]


def left_out(task: Any) -> list[str]:
    """The task's metrics that are no mean over items, and so are not computed."""
    names = task.aggregation()
    return [name for name in names if not _is_kept(task, name)]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The harness without log lines, some of which quote the data, and without bars."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


# --- inside ---


def _from_files(names: tuple[str, ...], folder: Path) -> Tasks:
    import lm_eval.tasks
    from datasets import Dataset

    for name in names:
        local.check_local(name)
    root = Path(lm_eval.tasks.__file__).parent
    folders = dict.fromkeys(str(root / local.harness_folder(name)) for name in names)
    manager = lm_eval.tasks.TaskManager(include_path=list(folders), include_defaults=False)
    listed = []
    for name in names:
        splits = {key: Dataset.from_list(rows) for key, rows in local.rows_of(name, folder).items()}
        listed.append({"task": name, "custom_dataset": _given(splits), **local.settings_of(name)})
    return dict(manager.load([{"group": "local", "task": listed}])["tasks"])


def _given(splits: Mapping[str, Any]) -> Any:
    return lambda **_settings: splits


def _from_hub(names: tuple[str, ...]) -> Tasks:
    manager = _all_tasks()
    for name in names:
        if name not in manager.task_index:
            near = difflib.get_close_matches(name, manager.all_tasks, n=3)
            guess = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
            raise ConfigError(
                f"lm-evaluation-harness has no task {name!r}",
                remedy=f"{guess}`lm-eval ls tasks` lists all.",
            )
    try:
        return dict(manager.load(list(names))["tasks"])
    except (OSError, ValueError) as error:
        raise DataError(
            f"the data of {', '.join(names[:3])} cannot be had from the hub "
            f"({type(error).__name__})",
            remedy="Name the folder that holds them by `data`, or go online.",
        ) from None


@lru_cache(maxsize=1)
def _all_tasks() -> Any:
    """The index of all tasks of the harness, which takes seconds to read."""
    import lm_eval.tasks

    return lm_eval.tasks.TaskManager()


def _has_examples(task: Any) -> bool:
    config = task.config
    return bool(config.fewshot_split or config.training_split or config.fewshot_config.samples)


def _requests(task: Any, at: int) -> list[Any]:
    doc = task.eval_docs[at]
    task.set_fewshot_seed(EXAMPLES_SEED)
    context = task.fewshot_context(
        doc, num_fewshot=task.config.num_fewshot, gen_prefix=task.doc_to_prefix(doc)
    )
    made = task.construct_requests(
        doc=doc, ctx=context, metadata=(task.config.task, at, task.config.repeats)
    )
    return made if isinstance(made, list) else [made]


def _answer(requests: Sequence[Any], lm: "SubjectLM") -> dict[int, bool]:
    """Put the model's answers into the requests; whether the context of each was cut."""
    kinds: dict[str, list[Any]] = defaultdict(list)
    for one in requests:
        kinds[one.request_type].append(one)
    cut = dict.fromkeys(map(id, requests), False)
    for kind, some in kinds.items():
        repeated = [one for one in some for _ in range(one.repeats or 1)]
        if kind == "loglikelihood":
            scores = lm.scores(one.args for one in repeated)
            answers: list[Any] = [(score.log_prob, score.is_greedy) for score in scores]
            cut |= {id(one): score.cut for one, score in zip(repeated, scores, strict=True)}
        else:
            answers = getattr(lm, kind)(repeated)
        for one, answer in zip(repeated, answers, strict=True):
            one.resps.append(answer)
    return cut


def _filters(task: Any) -> list[Any]:
    """The task's filters of answers; by default the first answer counts."""
    from lm_eval.filters import build_filter_ensemble

    listed = task.config.filter_list or [{"name": "none", "filter": [{"function": "take_first"}]}]
    return [
        build_filter_ensemble(
            one["name"],
            [
                (step["function"], {key: step[key] for key in step if key != "function"})
                for step in one["filter"]
            ],
        )
        for one in listed
    ]


def _result(task: Any, at: int, doc: Any, requests: Sequence[Any], cut: bool) -> ItemResult:
    values: dict[str, float] = {}
    for name in requests[0].filtered_resps:
        answers = [one.filtered_resps[name] for one in requests]
        found = values_of(task, task.process_results(doc, answers))
        values |= {key if name == "none" else f"{key}, {name}": one for key, one in found.items()}
    item = item_id(task.config.task, at)
    if not values or not all(map(_is_finite, values.values())):
        return ItemResult(item, error="not computable")
    return ItemResult(item, values | ({CUT: 1.0} if cut else {}))


def values_of(task: Any, metrics: Mapping[str, Any]) -> dict[str, float]:
    """An item's numbers: metrics whose mean is reported, and the parts of perplexities."""
    values: dict[str, float] = {}
    for name, value in metrics.items():
        if name in EXPONENTIALS:
            parts = value if isinstance(value, tuple) else (value,)
            signed = (-parts[0], *parts[1:])
            values |= dict(zip(EXPONENTIALS[name], map(float, signed), strict=True))
        elif _is_kept(task, name):
            values[name] = float(value)
    return values


def _is_kept(task: Any, name: str) -> bool:
    if name in EXPONENTIALS:
        return True
    from lm_eval.api.metrics import mean

    return task.aggregation().get(name) is mean and bool(task.higher_is_better().get(name))


def _is_finite(value: float) -> bool:
    return abs(value) < float("inf")


def item_id(task: str, at: int) -> str:
    """The name of a question in results: its task, and its place in the task's data.

    >>> item_id("piqa", 17), task_of("piqa:17")
    ('piqa:17', 'piqa')
    """
    return f"{task}:{at}"


def task_of(item: str) -> str:
    """The task of a question."""
    return item.rpartition(":")[0]
