"""Two runs joined on prompt id and sample, and which of their pairs can be compared."""

import dataclasses
from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from detoxlab.comparisons.asked import ALIKE, Question, question_of
from detoxlab.errors import ConfigError
from detoxlab.measures.entry import ResponseMeasure
from detoxlab.measures.features import Values, of_text, other_language, scripts
from detoxlab.measures.grid import Grid, Key, attribute_read, grid_of, judge_of, judged_attribute
from detoxlab.measures.guards import is_empty
from detoxlab.measures.statistics import BoolArray, FloatArray
from detoxlab.protocols import PROTOCOLS
from detoxlab.records import Responses, Sampling
from detoxlab.scorers.scales import scale_remarks

GROUP_KEYS = ("group", "groups", "kind")


@dataclass(frozen=True)
class Pairs:
    """The prompts that both runs asked, in the same order, with what both runs gave to them.

    `second` is None without a second scorer that scored both runs; `others` are further scorers
    of both runs, each with its attribute that is read. `remarks` are sentences for the reader on
    how the runs were joined. `train_scorers` are the scorers on whose judgement the treated model
    was trained. `macro_mean`: the protocol asks for the mean over groups; `compared_groups`: the
    keys of the groups that it holds against each other. `question` says whether both were asked
    the same.
    """

    baseline: Grid
    treated: Grid
    judge: str
    attribute: str
    second: str | None
    second_attribute: str
    likelihood: str | None
    group_keys: tuple[str, ...]
    remarks: tuple[str, ...]
    train_scorers: tuple[str, ...] = ()
    macro_mean: bool = False
    compared_groups: tuple[str, ...] = ()
    others: tuple[Key, ...] = ()
    question: Question = ALIKE

    @cached_property
    def generated(self) -> BoolArray:
        """Pairs drawn in at least one run (P, K): the denominator of coverage."""
        return self.baseline.generated | self.treated.generated

    @property
    def hate_scorer(self) -> str | None:
        """The first scorer, beside the judge, that scored both runs for `hate`."""
        theirs = self.treated.hate_scorers()
        shared = (name for name in self.baseline.hate_scorers() if name in theirs)
        return next((name for name in shared if name != self.judge), None)

    def values(self, measure: ResponseMeasure) -> tuple[FloatArray, FloatArray]:
        """The measure of every response (P, K), or of every prompt (P,), of both runs."""
        return measure.computes(self.baseline), measure.computes(self.treated)

    def scores(self, scorer_id: str | None, attribute: str) -> tuple[FloatArray, FloatArray]:
        """Scores (P, K) of both runs."""
        return self.baseline.of(scorer_id, attribute), self.treated.of(scorer_id, attribute)

    def scored(self, scorer_id: str | None, attribute: str) -> BoolArray:
        """Pairs scored in both runs (P, K)."""
        baseline_PK, treated_PK = self.scores(scorer_id, attribute)
        return ~np.isnan(baseline_PK) & ~np.isnan(treated_PK)

    @cached_property
    def obstacles(self) -> dict[str, BoolArray]:
        """Why pairs are not comparable (P, K); a pair stands under the first that applies."""
        there_PK = self.baseline.answered & self.treated.answered
        elsewhere_PK = ~self.one_script | self._either(other_language)
        causes = {
            "not generated in one run": ~there_PK,
            "with an empty response": self.empty,
            "with a response in another script or language, or without letters": elsewhere_PK,
            "not scored in one run": ~self.scored(self.judge, self.attribute),
        }
        left_PK, first = self.generated.copy(), {}
        for name, cause_PK in causes.items():
            first[name] = left_PK & cause_PK
            left_PK &= ~cause_PK
        return first

    @cached_property
    def comparable(self) -> BoolArray:
        """Pairs (P, K) of non-empty, scored responses in the script of the prompt.

        A response whose language is known to differ from its prompt's is not comparable
        either, even in the same script.
        """
        comparable_PK = self.generated.copy()
        for cause_PK in self.obstacles.values():
            comparable_PK &= ~cause_PK
        return comparable_PK

    @property
    def one_script(self) -> BoolArray:
        """Pairs (P, K) with both responses in one script, the prompt's if that is known."""
        return self._scripts[0]

    @cached_property
    def script_known(self) -> float:
        """Share of the non-empty pairs in which prompt and both responses have letters."""
        counted_PK = self.baseline.answered & self.treated.answered & ~self.empty
        return float(self._scripts[1][counted_PK].mean()) if counted_PK.any() else 0.0

    @cached_property
    def _scripts(self) -> tuple[BoolArray, BoolArray]:
        """Pairs (P, K) in one script, the prompt's if known; pairs with letters, as the prompt."""
        asked_P, first_PK = scripts(self.baseline)
        _, second_PK = scripts(self.treated)
        asked_PK = asked_P[:, None]
        as_asked_PK = (asked_PK == first_PK) | np.isnan(asked_PK)
        known_PK = ~(np.isnan(asked_PK) | np.isnan(first_PK) | np.isnan(second_PK))
        return np.asarray((first_PK == second_PK) & as_asked_PK), np.asarray(known_PK)

    @cached_property
    def empty(self) -> BoolArray:
        """Pairs (P, K) with an empty response."""
        return self._either(of_text(is_empty))

    def _either(self, values: Values) -> BoolArray:
        """Pairs (P, K) of which at least one response has a property that is 1 or 0."""
        return np.asarray((values(self.baseline) == 1) | (values(self.treated) == 1))


def join(baseline: Responses, treated: Responses, attribute: str) -> Pairs:
    """The two runs, paired.

    Raises `ConfigError` when they cannot be paired: no prompt in common, prompts of one id
    with different texts, different K, sampling or protocol, no common judge.
    """
    _check_settings(baseline, treated)
    first, second = grid_of(baseline), grid_of(treated)
    if first.k != second.k:
        raise ConfigError(
            f"{baseline.name} has k = {first.k} samples per prompt, {treated.name} {second.k}",
            remedy="Measure both with the same k.",
        )
    judge = _judge(baseline, treated, first, second)
    cross_check, cross_attribute = _second(baseline, treated, first, second, judge, attribute)
    remarks = _overlap(baseline, treated, first, second)
    remarks += _seeds(baseline, treated) + _measured_unlike(baseline, treated)
    question = question_of(baseline, treated)
    remarks += question.remarks
    first, second = aligned(first, second)
    _check_texts(baseline, treated, first, second)
    names = baseline.name, treated.name
    remarks += _read_in_part(names, (first, second), (judge, cross_check))
    remarks += scale_remarks(judge, cross_check)
    protocol = PROTOCOLS.get(baseline.protocol or "")
    same = baseline.base_likelihood_id == treated.base_likelihood_id
    return Pairs(
        baseline=first,
        treated=second,
        judge=judge,
        attribute=judged_attribute(first, judge, attribute),
        second=cross_check,
        second_attribute=cross_attribute,
        likelihood=baseline.base_likelihood_id if same else None,
        group_keys=group_keys(baseline.protocol),
        remarks=remarks,
        train_scorers=treated.train_scorers,
        macro_mean=protocol is not None and protocol.macro_mean,
        compared_groups=protocol.compared_groups if protocol else (),
        others=tuple(_others(first, second, (judge, cross_check), judge, attribute)),
        question=question,
    )


def group_keys(protocol: str | None) -> tuple[str, ...]:
    """The keys of `Prompt.meta` whose values are the groups of a protocol's prompts."""
    known = PROTOCOLS.get(protocol or "")
    return known.group_keys if known else GROUP_KEYS


def _check_settings(baseline: Responses, treated: Responses) -> None:
    protocols = baseline.protocol, treated.protocol
    if protocols[0] != protocols[1] and not {None, "imported"} & set(protocols):
        raise ConfigError(
            f"{baseline.name} was measured by {protocols[0]}, {treated.name} by {protocols[1]}",
            remedy="Measure both by one protocol.",
        )
    if baseline.sampling is None or treated.sampling is None:
        return
    for field in dataclasses.fields(Sampling):
        ours, theirs = getattr(baseline.sampling, field.name), getattr(treated.sampling, field.name)
        if field.name != "seed" and ours != theirs:
            raise ConfigError(
                f"{baseline.name} was drawn with {field.name} = {ours}, "
                f"{treated.name} with {theirs}",
                remedy="Measure both with the same sampling.",
            )


def _judge(baseline: Responses, treated: Responses, first: Grid, second: Grid) -> str:
    judge = judge_of(baseline, first)
    if judge not in second.scorer_ids():
        raise ConfigError(
            f"{baseline.name} was judged by {judge!r}, which has not scored {treated.name}",
            remedy="Score both runs by one judge.",
        )
    return judge


def _second(
    baseline: Responses, treated: Responses, first: Grid, second: Grid, judge: str, attribute: str
) -> tuple[str | None, str]:
    """The scorer that cross-checks, if it scored both runs, and its attribute."""
    for scorer_id in (baseline.second_id, treated.second_id):
        if scorer_id is None or scorer_id == judge:
            continue
        found = _read_of_both(first, second, scorer_id, judge, attribute)
        if found is not None:
            return scorer_id, found
    return None, attribute


def _others(
    first: Grid, second: Grid, taken: Container[str | None], judge: str, attribute: str
) -> Iterator[Key]:
    """The further scorers of both runs, each with the attribute to read of it."""
    for scorer_id in first.scorer_ids():
        found = _read_of_both(first, second, scorer_id, judge, attribute)
        if found is not None and scorer_id not in taken:
            yield scorer_id, found


def _read_of_both(
    first: Grid, second: Grid, scorer_id: str, judge: str, attribute: str
) -> str | None:
    """The attribute to read of a scorer that has scored both runs, like the judge's.

    If the judge has a single label (hate, for instance), other scorers without that label are
    read for toxicity.
    """
    asked = (attribute, "toxicity") if len(first.attributes_of(judge)) == 1 else (attribute,)
    for name in asked:
        ours, theirs = (attribute_read(grid, scorer_id, name) for grid in (first, second))
        if ours is not None and ours == theirs:
            return ours
    return None


def aligned(first: Grid, second: Grid) -> tuple[Grid, Grid]:
    """Both grids on the prompts that they share, in the order of the first."""
    rows_of = [
        {prompt.id: row for row, prompt in enumerate(grid.prompts)} for grid in (first, second)
    ]
    shared = [prompt.id for prompt in first.prompts if prompt.id in rows_of[1]]
    return (
        first.rows(np.array([rows_of[0][name] for name in shared], dtype=np.int64)),
        second.rows(np.array([rows_of[1][name] for name in shared], dtype=np.int64)),
    )


def _overlap(baseline: Responses, treated: Responses, first: Grid, second: Grid) -> tuple[str, ...]:
    ours, theirs = ({prompt.id for prompt in grid.prompts} for grid in (first, second))
    shared = len(ours & theirs)
    if shared == 0:
        raise ConfigError(
            f"{baseline.name} and {treated.name} have no prompt in common",
            remedy="Compare runs on the same prompts, joined by their ids.",
        )
    if ours == theirs:
        return ()
    return (
        f"Compared on the {shared} prompts that both runs asked; "
        f"{baseline.name} asked {len(ours)}, {treated.name} {len(theirs)}.",
    )


def _read_in_part(
    names: tuple[str, str], grids: tuple[Grid, Grid], scorers: tuple[str | None, ...]
) -> tuple[str, ...]:
    """A sentence for each scorer that read only the beginning of some responses."""
    remarks = []
    for scorer_id in filter(None, scorers):
        cut = [grid.cut[scorer_id] for grid in grids if scorer_id in grid.cut]
        if not cut:
            continue
        none_PK = np.zeros_like(cut[0])
        shares = [
            grid.cut.get(scorer_id, none_PK)[grid.answered].sum() / max(1, grid.answered.sum())
            for grid in grids
        ]
        before, after = (
            f"{100 * share:.1f} % of the responses of {name}"
            for name, share in zip(names, shares, strict=True)
        )
        remarks.append(
            f"{scorer_id} read only the beginning of {before} and {after}: what they say after "
            "that is in no score."
        )
    return tuple(remarks)


def _seeds(baseline: Responses, treated: Responses) -> tuple[str, ...]:
    if baseline.sampling is None or treated.sampling is None:
        return ()
    seeds = baseline.sampling.seed, treated.sampling.seed
    if seeds[0] == seeds[1]:
        return ()
    return (
        f"The runs were drawn with different seeds ({seeds[0]} and {seeds[1]}), so without common "
        "random numbers: the intervals hold but are wider than they could be.",
    )


def _measured_unlike(baseline: Responses, treated: Responses) -> tuple[str, ...]:
    unlike = [
        f"{name} {ours} and {theirs}"
        for name in ("attribute", "threshold")
        if (ours := getattr(baseline, name)) != (theirs := getattr(treated, name))
        and None not in (ours, theirs)
    ]
    if not unlike:
        return ()
    return (f"The runs' own tables were measured with {' and '.join(unlike)}.",)


def _check_texts(baseline: Responses, treated: Responses, first: Grid, second: Grid) -> None:
    for ours, theirs in zip(first.prompts, second.prompts, strict=True):
        if ours.text != theirs.text:
            raise ConfigError(
                f"prompt {ours.id!r} has another text in {treated.name} than in {baseline.name}",
                remedy="Compare runs on the same prompts.",
            )
