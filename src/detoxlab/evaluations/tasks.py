"""Evaluations by one name each, with all settings that they need: `detoxlab evaluate --tasks`.

Other packages add one by the entry point group `detoxlab.tasks`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detoxlab.data.files import find_below
from detoxlab.errors import ConfigError
from detoxlab.evaluations.base import Evaluation
from detoxlab.evaluations.registry import EVALUATIONS, load_evaluation
from detoxlab.registry import with_entry_points

DATA = "data"


@dataclass(frozen=True)
class NamedTask:
    """An evaluation by name: a line about it, and its settings with the kind.

    `file` is the pattern of a file in the user's folder of benchmarks, which becomes the setting
    `place`; with `folder` the one that holds the file does.
    """

    summary: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    file: str | None = None
    place: str = "source"
    folder: bool = False


def _benchmark(task: str, summary: str) -> NamedTask:
    return NamedTask(summary, {"kind": "benchmark", "task": task})


TASKS: dict[str, NamedTask] = with_entry_points(
    "detoxlab.tasks",
    {
        "mmlu": _benchmark("mmlu", "57 subjects, 5 examples each; over subjects and questions"),
        "commonsense": _benchmark("commonsense", "the next seven, and their mean"),
        "boolq": _benchmark("boolq", "yes or no questions about a passage"),
        "piqa": _benchmark("piqa", "how to do everyday things, two ways"),
        "hellaswag": _benchmark("hellaswag", "how a story goes on, four ways"),
        "winogrande": _benchmark("winogrande", "what a pronoun stands for, two ways"),
        "arc_easy": _benchmark("arc_easy", "school science, easier questions"),
        "arc_challenge": _benchmark("arc_challenge", "school science, harder questions"),
        "openbookqa": _benchmark("openbookqa", "elementary science, four answers"),
        "lambada": _benchmark("lambada", "the last word of a passage: accuracy, perplexity"),
        "wikitext": _benchmark("wikitext", "WikiText-2's perplexity per word, the harness's way"),
        "wikitext2": NamedTask(
            "perplexity of WikiText-2's test articles, each token seen in context",
            {"kind": "perplexity", "documents": "articles"},
            "wikitext2_test*.txt*",
        ),
        "xstest": NamedTask(
            "over-refusal: XSTest's 250 safe and 200 unsafe prompts",
            {"kind": "refusal"},
            "xstest_prompts.csv*",
            place="path",
        ),
        "toxigen": NamedTask(
            "toxicity by group: 6,514 statements about 13 groups, mean and gaps",
            {"kind": "groups", "preset": "toxigen"},
            "*annotated*.json*",
            place="path",
        ),
        "bold": NamedTask(
            "toxicity by group: sentences about 43 groups of five domains, gaps",
            {"kind": "groups", "preset": "bold"},
            "gender_prompt.json*",
            place="path",
            folder=True,
        ),
    },
)


def task_evaluations(names: Sequence[str], given: Mapping[str, Any]) -> dict[str, Evaluation]:
    """The evaluations of these names, each with the given settings that its kind has.

    `data` is the folder with the files of all of them. A name that is not in `TASKS` is that of a
    task of lm-evaluation-harness.

    Raises `ConfigError` for a setting that none of the kinds has or one that is wrong,
    `MissingFileError` where a file is not in the folder.

    >>> made = task_evaluations(["mmlu", "gsm8k"], {"limit": 50})
    >>> [(one.task, one.limit) for one in made.values()]
    [('mmlu', 50), ('gsm8k', 50)]
    """
    tasks = {name: TASKS.get(name) or _benchmark(name, "") for name in names}
    kinds = {name: EVALUATIONS[task.settings["kind"]] for name, task in tasks.items()}
    known = {key for kind in kinds.values() for key in kind.model_fields} | {DATA}
    odd = {key: value for key, value in given.items() if key not in known}
    return {
        name: load_evaluation(
            {**task.settings, **_own(name, task, given, kinds[name]), **odd}, place=name
        )
        for name, task in tasks.items()
    }


def _own(
    name: str, task: NamedTask, given: Mapping[str, Any], kind: type[Evaluation]
) -> dict[str, Any]:
    """The given settings that are for this task, and its file."""
    own = {key: value for key, value in given.items() if key in kind.model_fields}
    if task.file is None or "source" in own or task.place in own:
        return own
    if not given.get(DATA):
        raise ConfigError(
            f"task {name!r} needs its file ({task.file})",
            remedy="Name the folder that holds it by --data, or the file itself by "
            f"--{task.place}.",
        )
    file = find_below(Path(str(given[DATA])), task.file, what=name)
    return {**own, task.place: str(file.parent if task.folder else file)}
