"""Laws of the regulariser's wiring: which state, weight, prefix and label reaches which number.

What is expected comes from the model's next-token probabilities, prefix by prefix, or from a
few numbers by hand. The losses themselves are held in `test_regularised_losses.py`.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from detoxlab.auxiliary.config import HeadSettings
from detoxlab.auxiliary.features import Features, Sample
from detoxlab.auxiliary.fit import Fit
from detoxlab.auxiliary.head import AuxiliaryHead, HeadShape
from detoxlab.methods.regularised.anchor import Anchor
from detoxlab.methods.regularised.config import RegularisedConfig
from detoxlab.methods.regularised.domain import ConstrainedDomain, DomainState, constrained
from detoxlab.methods.regularised.losses import Tilt
from detoxlab.methods.regularised.penalty import Penalty, RowDomains
from detoxlab.methods.regularised.schedule import Regulariser
from detoxlab.methods.regularised.targets import PrefixIndex, Projection, ResponseSpan
from detoxlab.methods.regularised.worker import Work
from detoxlab.models.hidden import OutputLayer, output_layer
from detoxlab.runs import Run
from tests.support.adapted import Reading, adapted, divergences, log_prob, move, random_head, term
from tests.support.shouting import shouting
from tests.support.tiny import tiny_lm

__all__ = ["shouting"]
pytestmark = pytest.mark.usefixtures("shouting")

SETTINGS: dict[str, Any] = {
    "conditions": [{"scorer": "shouting"}],
    "draws": {"k": 2, "max_new_tokens": 4},
    "head": {"steps": 2, "batch_size": 8, "learning_rate": 1e-2, "blocks": 0, "tied": False},
    "lora_r": 4,
    "top_k": None,
}

DIGITS = [{"scorer": "shouting", "attribute": "digits"}]


def configured(**settings: Any) -> RegularisedConfig:
    return RegularisedConfig(**(SETTINGS | settings))


# --- what the penalty adds up ---

ROWS = {2: (70, 71, 72, 73, 74), 1: (80, 81, 82), 0: (90, 91, 92, 93), 3: (75, 76)}
TAGGED = RowDomains(
    ("loud", "general", "loud", "loud"),
    (ResponseSpan(ROWS[0], 2, 4), ResponseSpan(ROWS[1], 1, 3), ResponseSpan(ROWS[2], 1, 4), None),
)
SAMPLES = [
    Sample("old", (66, 67), (68, 69), True, iteration=1),
    Sample("a", (60, 61), (50, 51, 52), True, iteration=2),
    Sample("b", (62,), (53, 54), False, iteration=2),
    Sample("c", (63, 64, 65), (55, 56, 57, 58), True, iteration=2),
]
BESIDE = {"loud": [0, 2], "general": [1]}  # of those of iteration 2
WEIGHTS = {"loud": 7.0, "general": 2.0}  # lambda, not what the settings began with
TILTS: dict[str, tuple[dict[str, Any], Callable[[Tensor], Tensor]]] = {
    "hard": ({}, lambda r: r),
    "strength": ({"strength": 2.0}, lambda r: r**2),
    # at acceptance 0.3: a = 0.9 / 0.3, b = (1 - 0.9) / (1 - 0.3)
    "required": ({"required": 0.9}, lambda r: 3 * r + (1 - r) / 7),
}


def penalty_of(config: RegularisedConfig, anchor: Anchor, folder: Path) -> Penalty:
    """The penalty of `ROWS`, whose domains were once active: two heads, `SAMPLES` drawn."""
    domains = constrained(config, TAGGED.openings(), chat=False)
    for seed, (name, domain) in enumerate(domains.items()):
        head = random_head(anchor.lm, seed)
        domain.state = DomainState(WEIGHTS[name], 0.3, samples=SAMPLES, head=head)
    return Penalty(config, anchor, output_layer(anchor.lm), domains, TAGGED, folder)


@pytest.mark.parametrize(
    ("kind", "tilt", "beside"),
    [
        ("snapshot", "hard", BESIDE),
        ("snapshot", "required", BESIDE),
        ("snapshot", "strength", {}),
        ("reference", "hard", BESIDE),
        ("current", "hard", BESIDE),
    ],
    ids=["snapshot", "expectation", "strength", "reference", "current"],
)
def test_the_term_is_the_sum_over_prefixes(
    tmp_path: Path, kind: str, tilt: str, beside: dict[str, list[int]]
) -> None:
    """lambda times KL(q || policy); where the anchor's samples are read, prefixes weigh as in q."""
    settings, factor = TILTS[tilt]
    config = configured(anchor=kind, lora_dropout=0.0, domains={"*": settings})
    anchor = adapted(config)
    penalty = penalty_of(config, anchor, tmp_path)
    fresh = [ResponseSpan.of_sample(sample, 4) for sample in SAMPLES[1:]]
    row_domains = zip(TAGGED.domains, TAGGED.spans, strict=True)
    asked = [(name, span, False) for name, span in row_domains if span is not None]
    asked += [(name, fresh[i], True) for name, chosen in beside.items() for i in chosen]

    def read() -> list[Reading]:
        return [Reading.of(anchor.lm, s.ids, penalty.domains[n].state.head) for n, s, _ in asked]

    moments = {"reference": read()}
    move(anchor.lm, seed=1)
    anchor.snapshot.take()
    moments["snapshot"] = read()
    move(anchor.lm, seed=2)
    moments["current"] = read()

    expected = 0.0
    for (name, span, is_drawn), at_anchor, policy in zip(
        asked, moments[kind], moments["current"], strict=True
    ):
        found = divergences(at_anchor, policy, span, factor)
        whole = found[0][1] if tilt == "hard" else 1.0  # R(y_<i) / R(x), or a R + b (1 - R)
        weights = [float(factor(torch.tensor(own))) / whole if is_drawn else 1 for _, own in found]
        kls = [kl for kl, _ in found]
        expected += WEIGHTS[name] * math.fsum(w * kl for w, kl in zip(weights, kls, strict=True))
    assert term(penalty, ROWS, beside) == pytest.approx(expected, rel=1e-4)


def test_retention_is_the_divergence_from_the_base(tmp_path: Path) -> None:
    domains = {"loud": {"weight": 0.0, "retention": 0.5}}
    config = configured(domains=domains, lora_dropout=0.0)
    anchor = adapted(config)
    penalty = penalty_of(config, anchor, tmp_path)
    assert penalty.domains == {}
    assert term(penalty, ROWS) == pytest.approx(0, abs=1e-5)
    spans = [s for s in (TAGGED.spans[0], TAGGED.spans[2]) if s]
    base = [Reading.of(anchor.lm, s.ids) for s in spans]
    move(anchor.lm, seed=1)
    anchor.snapshot.take()  # which is not what is retained
    expected = sum(
        kl
        for span, before in zip(spans, base, strict=True)
        for kl, _ in divergences(before, Reading.of(anchor.lm, span.ids), span, lambda r: r)
    )
    assert expected > 0.1
    assert term(penalty, ROWS) == pytest.approx(0.5 * expected, rel=1e-4)


@pytest.mark.parametrize("kind", ["snapshot", "reference"])
def test_targets_are_made_without_dropout_while_the_policy_trains(kind: str) -> None:
    config = configured(anchor=kind, lora_dropout=0.5)
    anchor = adapted(config)
    base, span = Reading.of(anchor.lm, ROWS[2]), ResponseSpan(ROWS[2], 1, 4)
    move(anchor.lm, seed=1)
    anchor.snapshot.take()
    expected = Reading.of(anchor.lm, ROWS[2]) if kind == "snapshot" else base
    anchor.lm.model.train()
    plain = Projection(output_layer(anchor.lm), None, Tilt(), None)
    made = anchor.targets(plain, [span]).log_p_PB.exp()
    assert torch.allclose(made.double(), expected.p_TV[:3], atol=1e-5)
    assert all(module.training for module in anchor.lm.model.modules())


# --- numbers by hand: four tokens of known R, whatever was read before ---

R = (0.1, 0.3, 0.5, 0.9)
NEXT = torch.tensor([[0.1, 0.1, 0.1, 0.7], [0.7, 0.1, 0.1, 0.1], [0.25] * 4])  # p by position
S = (0.72, 0.24, 0.45)  # the sums of p R
RESPONSES = [(0, 1, 2), (3, 0)]


def known() -> tuple[AuxiliaryHead, OutputLayer, Features]:
    """A head that gives R, a model that gives `NEXT`, and two responses, the first accepted."""
    head = AuxiliaryHead(HeadShape(3, 4, tied=False))
    head.bias_V.data = torch.logit(torch.tensor(R))
    ids_NL = torch.tensor([[0, 1, 2], [3, 0, 0]])
    mask_NL = torch.tensor([[True] * 3, [True, True, False]])
    hidden_NLD = torch.eye(3).expand(2, 3, 3)
    accepted_N = torch.tensor([True, False])
    features = Features(hidden_NLD, ids_NL, mask_NL, accepted_N, torch.zeros(2))
    return head.eval(), OutputLayer(NEXT.log().T.contiguous()), features


@pytest.mark.parametrize("way", ["places", "features"])
def test_each_prefix_has_the_acceptance_of_its_own_last_token(way: str) -> None:
    head, output, features = known()
    projection = Projection(output, head, Tilt(), None)
    if way == "features":
        targets = projection.of_samples(features, 0).targets
    else:
        spans = [ResponseSpan((2, *ids), 1, 1 + len(ids)) for ids in RESPONSES]
        places = PrefixIndex.of(list(enumerate(spans)), torch.device("cpu"))
        hidden_PD = places.of_batch(features.hidden_NLD)
        targets = projection.targets(hidden_PD, places.next_P, places.first_P)
    own = [S[0], R[0], R[1], S[0], R[3]]
    assert targets.log_accept_P.exp().tolist() == pytest.approx(own, abs=1e-6)


def test_a_step_of_a_fit_asks_the_token_before_for_what_the_next_one_brings() -> None:
    head, output, features = known()
    rows: list[dict[str, float]] = []
    settings = HeadSettings(steps=1, batch_size=2, consistency=1.0)
    Fit(head, output, features, torch.ones(2), settings).run(rows.append)

    def coins(s: float, r: float) -> float:
        return s * math.log(s / r) + (1 - s) * math.log((1 - s) / (1 - r))

    consistency = coins(S[1], R[0]) + coins(S[2], R[1]) + coins(S[1], R[3])
    accepted = math.log(R[0] * R[1] * R[2]) + math.log((1 - R[3]) * (1 - R[0]))
    assert rows[0]["consistency_loss"] == pytest.approx(consistency / 3, rel=1e-4)
    assert rows[0]["acceptance_loss"] == pytest.approx(-accepted / 5, rel=1e-4)


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize(("weight", "share"), [(1.0, 0.1), (3.0, 0.25)])
def test_a_fit_is_calibrated_to_the_weighted_acceptance(
    balanced: bool, weight: float, share: float
) -> None:
    """20 of 200 responses are accepted, and count `weight` times: 60 of 240."""
    generator = torch.Generator().manual_seed(0)
    accepted_N = torch.arange(200) % 10 == 0
    hidden_NLD = torch.randn(200, 1, 3, generator=generator)  # tell nothing of the label
    once = torch.ones(200, 1)
    features = Features(hidden_NLD, once.long(), once.bool(), accepted_N, torch.zeros(200))
    weights_N = torch.where(accepted_N, weight, 1.0)
    settings = HeadSettings(
        blocks=0, steps=150, learning_rate=0.1, weight_decay=0, consistency=0, balanced=balanced
    )
    head = AuxiliaryHead(HeadShape(3, 4, tied=False))
    Fit(head, OutputLayer(NEXT.T), features, weights_N / weights_N.mean(), settings).run()
    fitted = head(hidden_NLD[:, 0])[:, 1].sigmoid().mean().item()
    assert fitted == pytest.approx(share, abs=0.03)


# --- what an iteration draws, labels and fits on ---


def beginnings(count: int) -> list[tuple[str, tuple[int, ...]]]:
    return [(f"loud/{i:07d}", (20 + i, 60 + i)) for i in range(count)]


def domain_of(config: RegularisedConfig, *changed: int, count: int = 6) -> ConstrainedDomain:
    """A domain of some beginnings, of which the numbered ones are others."""
    openings = beginnings(count)
    for i in changed:
        openings[i] = (openings[i][0], (120 + i, 160 + i))
    return constrained(config, {"loud": openings}, chat=False)["loud"]


@pytest.mark.parametrize("limit", [1, 2])
def test_responses_stay_in_the_buffer_up_to_their_age_limit(limit: int) -> None:
    lm, domain = tiny_lm(), domain_of(configured(age_limit=limit))
    output, state = output_layer(lm), domain.state
    for iteration in (1, 2, 3):
        state, row = domain.run_iteration(lm, output, state, iteration)
        assert row["buffer"] == 12 * min(iteration, limit)
    assert {sample.iteration for sample in state.samples} == set(range(4 - limit, 4))


def test_every_tenth_beginning_teaches_the_head_nothing() -> None:
    lm, config = tiny_lm(), configured()
    output, start = output_layer(lm), random_head(lm)

    def weights(*changed: int) -> Tensor:
        domain = domain_of(config, *changed, count=20)
        state, row = domain.run_iteration(lm, output, DomainState(3.0, head=start), 1)
        assert row["held_out_responses"] == 4
        assert state.head is not None
        return torch.cat([p.detach().flatten() for p in state.head.parameters()])

    whole = weights()
    assert torch.allclose(weights(9, 19), whole, atol=1e-6)
    assert not torch.allclose(weights(8, 18), whole, atol=1e-3)


def test_responses_weigh_as_much_as_the_anchor_now_gives_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """p(y) / s(y): drawn at another temperature, and by the anchor of the iteration before."""
    fits: list[Fit] = []
    run = Fit.run

    def watched(self: Fit, *args: Any) -> None:
        fits.append(self)
        run(self, *args)

    monkeypatch.setattr(Fit, "run", watched)
    config = configured(draws={"k": 2, "max_new_tokens": 2, "temperature": 1.2})
    lm, domain = adapted(config).lm, domain_of(config)
    output, state, drawn = output_layer(lm), domain.state, list[float]()
    for iteration in (1, 2):
        move(lm, seed=iteration)
        state, _ = domain.run_iteration(lm, output, state, iteration)
        drawn += [log_prob(lm, sample, temperature=1.2) for sample in state.fresh]
    now = torch.tensor([log_prob(lm, sample) for sample in state.samples])
    weights = (now - torch.tensor(drawn)).exp()
    weights = weights.clamp(max=10 * float(weights.median()))
    assert float(weights.std()) > 0.2
    assert len(fits) == 2
    assert torch.allclose(fits[1].weights_N.float(), weights / weights.mean(), rtol=1e-3)


def test_each_domain_is_labelled_by_its_own_conditions() -> None:
    """Of the same responses one domain takes those without capitals, the other without digits."""
    config = configured(
        draws={"k": 12, "max_new_tokens": 4},
        domains={"loud": {}, "general": {"conditions": DIGITS}},
    )
    lm, openings = tiny_lm(), beginnings(6)
    domains = constrained(config, {"loud": openings, "general": openings}, chat=False)
    forbidden = {"loud": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "general": "0123456789"}
    labels = {}
    for name, domain in domains.items():
        state, _ = domain.run_iteration(lm, output_layer(lm), domain.state, 1)
        ids = set(lm.tokenizer.convert_tokens_to_ids(list(forbidden[name])))
        written = [sample for sample in state.samples if len(sample.ids) == 4]
        labels[name] = [sample.accepted for sample in written]
        assert labels[name] == [not ids & set(sample.ids) for sample in written]
    assert labels["loud"] != labels["general"]


# --- which iteration is read ---


def regulariser_of(config: RegularisedConfig, folder: Path) -> Regulariser:
    """The schedule of three steps, on a model whose adapter moves as the test says."""
    anchor = adapted(config)
    work = Work({"loud": domain_of(config)}, anchor.lm, output_layer(anchor.lm))
    run = Run.start(folder, kind="train", config={})
    return Regulariser(config, anchor.lm, anchor.trainer, TAGGED, 3, run, work, None)


def test_once_it_is_met_a_constraint_that_was_active_asks_for_nothing(tmp_path: Path) -> None:
    """Iteration 1 rejects capitals, iteration 2 hardly anything."""
    strict = configured(domains={"loud": {"required": 0.8}}, lora_dropout=0.0)
    lenient = strict.model_copy(
        update={"conditions": (strict.conditions[0].model_copy(update={"threshold": 1.0}),)}
    )
    anchor = adapted(strict)
    penalty = penalty_of(strict, anchor, tmp_path)
    state, rows = penalty.domains["loud"].state, []
    for iteration, config in enumerate((strict, lenient), start=1):
        move(anchor.lm, seed=iteration)
        state, row = domain_of(config).run_iteration(anchor.lm, penalty.output, state, iteration)
        penalty.domains["loud"].state = state
        rows.append((row["met"], bool(penalty.pick_anchor_samples()), term(penalty, ROWS) > 0))
    assert state.head is not None
    assert rows == [(False, True, True), (True, False, False)]
    # what was drawn then is weighed against the model that drew it, should the next one need it
    assert all(sample.log_s is not None for sample in state.fresh)


@pytest.mark.parametrize(("schedule", "read"), [("sequential", [1, 2, 3]), ("parallel", [1, 1, 2])])
def test_an_iteration_reads_what_its_schedule_says(
    tmp_path: Path, schedule: str, read: list[int]
) -> None:
    """Parallel: draws, acceptance and head of the iteration before, but none of its targets."""
    config = configured(schedule=schedule, iterations=3, top_k=8, domains={"loud": {}})
    regulariser, seen = regulariser_of(config, tmp_path), []
    with regulariser.run.writing():
        for step in range(3):
            move(regulariser.lm, seed=step)
            regulariser.step_begins(step)
            seen.append(regulariser.penalty.domains["loud"].state)
        newest = regulariser.collected()["loud"]
    assert [state.fresh[0].iteration for state in (*seen, newest)] == [*read, 3]
    lines = (tmp_path / "iterations.jsonl").read_text().splitlines()
    recorded = {row["iteration"]: row["acceptance"] for row in map(json.loads, lines)}
    assert list(recorded) == [1, 2, 3]
    for state, iteration in zip(seen, read, strict=True):
        accepted = [sample.accepted for sample in state.fresh]
        assert sum(accepted) / len(accepted) == pytest.approx(recorded[iteration])
        assert state.acceptance == pytest.approx((sum(accepted) + 0.5) / (len(accepted) + 1))
    first, second, third = (state.head.bias_V for state in seen if state.head is not None)
    assert torch.equal(first, second) == (schedule == "parallel")
    assert not torch.equal(second, third)
    if schedule == "parallel":
        assert [state.targets is None for state in seen] == [False, True, True]


def test_a_published_head_names_the_conditions_of_its_domain(tmp_path: Path) -> None:
    config = configured(domains={"loud": {"conditions": DIGITS}}, iterations=1)
    regulariser = regulariser_of(config, tmp_path)
    with regulariser.run.writing():
        regulariser.step_begins(0)
        regulariser.publish()
    published = json.loads((tmp_path / "auxiliary" / "loud" / "head.json").read_text())
    assert [condition["attribute"] for condition in published["conditions"]] == ["digits"]
