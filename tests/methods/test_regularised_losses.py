"""The losses of constraint-regularised fine-tuning, held to enumeration on a tabular LM."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from detoxlab.auxiliary.head import AuxiliaryHead, HeadShape, load_head, save_head
from detoxlab.auxiliary.losses import (
    acceptance_loss,
    consistency_loss,
    importance_weights,
    log_next_acceptance,
)
from detoxlab.methods.regularised.losses import (
    Tilt,
    bucketed_target,
    constraint_kl,
    divergence,
    full_target,
    with_tail,
)
from tests.support.tabular import LENGTH, SEQUENCES, VOCABULARY, Tabular, kl, next_logits, oracle

BASE = Tabular.random(0)
ACCEPTED = oracle(1, 0.7)
R = BASE.acceptances(ACCEPTED)
IDEAL = next_logits(R)
PI = float(R[0])
LOG_PREFIX_R = torch.cat([R[t] for t in range(LENGTH)]).log()

# Labels that are probabilities: no next token is hopeless.
SOFT = 0.05 + 0.9 * torch.rand(SEQUENCES, generator=torch.Generator().manual_seed(2)).double()
SOFT_R = BASE.acceptances(SOFT)
SOFT_IDEAL = next_logits(SOFT_R)
SOFT_LOG_PREFIX_R = torch.cat([SOFT_R[t] for t in range(LENGTH)]).log()


# --- NADO's identities ---


def test_each_prefix_expects_what_the_next_step_brings() -> None:
    """Equation 5, and that log S and log(1 - S) sum to one."""
    log_s, log_not_s = log_next_acceptance(BASE.log_p(), IDEAL)
    assert torch.allclose(log_s, LOG_PREFIX_R, atol=1e-9)
    assert torch.allclose(log_s.exp() + log_not_s.exp(), torch.ones_like(log_s))
    assert float(log_s[0].exp()) == pytest.approx(PI)


def test_next_token_targets_compose_to_the_conditioned_sequence_model() -> None:
    """Equations 2, 3 and 4: q* = p C / pi, and KL(q* || p) = -log pi."""
    q = BASE.with_log_p(full_target(BASE.log_p(), IDEAL, Tilt()))
    expected = BASE.sequence_log_probs().exp() * ACCEPTED / PI
    assert torch.allclose(q.sequence_log_probs().exp(), expected, atol=1e-9)
    divided = kl(expected.log(), BASE.sequence_log_probs())
    assert divided == pytest.approx(-math.log(PI)) == pytest.approx(constraint_kl(PI))


def test_an_expectation_is_met_exactly_and_at_the_least_divergence() -> None:
    tilt = Tilt(required=0.9, acceptance=PI)
    q = BASE.with_log_p(full_target(BASE.log_p(), IDEAL, tilt)).sequence_log_probs()
    assert float((q.exp() * ACCEPTED).sum()) == pytest.approx(0.9, abs=1e-9)
    least = constraint_kl(PI, 0.9)
    assert kl(q, BASE.sequence_log_probs()) == pytest.approx(least, abs=1e-9)
    for seed in range(5):  # any other distribution that meets it is further away
        noise = 0.3 * torch.randn(SEQUENCES, generator=torch.Generator().manual_seed(seed))
        other = torch.log_softmax(q + noise, dim=0)
        met = float((other.exp() * ACCEPTED).sum())
        if met >= 0.9:
            assert kl(other, BASE.sequence_log_probs()) > least


def test_an_expectation_of_each_prompt_is_met_by_each_and_left_where_it_is_met_already() -> None:
    """Two prompts: one accepted too rarely, one often enough, which over both would be enough."""
    often = BASE.acceptances(oracle(2, 0.95))
    log_prompt_2 = torch.stack([R[0][0], often[0][0]]).log()
    tilt = Tilt(required=0.9, acceptance=0.5, per_prompt=True)
    assert float(often[0]) > 0.9 > PI
    assert tilt.is_constrained(log_prompt_2).tolist() == [True, False]
    count = len(IDEAL)
    both = tilt.of_prompts(log_prompt_2.repeat_interleave(count))
    logits = torch.cat([IDEAL, next_logits(often)])
    log_q = full_target(BASE.log_p().repeat(2, 1), logits, both)
    alone = full_target(BASE.log_p(), IDEAL, Tilt(required=0.9, acceptance=PI))
    assert torch.allclose(log_q[:count], alone, atol=1e-6)
    weights = tilt.prefix_weights(LOG_PREFIX_R, log_prompt_2[:1].expand(len(LOG_PREFIX_R)))
    domain = Tilt(required=0.9, acceptance=PI).prefix_weights(LOG_PREFIX_R, LOG_PREFIX_R[:1])
    assert torch.allclose(weights, domain, atol=1e-6)
    assert Tilt(required=0.9, acceptance=PI).is_constrained(log_prompt_2).all()


def test_an_expectation_of_one_is_the_hard_constraint() -> None:
    hard = full_target(BASE.log_p(), IDEAL, Tilt())
    assert torch.allclose(
        full_target(BASE.log_p(), IDEAL, Tilt(required=1.0, acceptance=PI)), hard, atol=1e-9
    )
    assert constraint_kl(PI, 1.0) == constraint_kl(PI)


@pytest.mark.parametrize("required", [None, 0.9])
@pytest.mark.parametrize("student", [BASE, Tabular.random(7)], ids=["anchor", "other"])
def test_weighted_prefixes_of_the_anchor_estimate_the_sequence_divergence(
    required: float | None, student: Tabular
) -> None:
    """Sum over prefixes of p(prefix) w KL_i = KL(q* || p_theta): unbiased, by enumeration."""
    tilt = Tilt(required=required, acceptance=PI if required else None)
    log_q = full_target(BASE.log_p(), IDEAL, tilt)
    weights = tilt.prefix_weights(LOG_PREFIX_R, LOG_PREFIX_R[:1])
    estimate = (BASE.all_prefix_probs() * weights * divergence(log_q, student.log_p())).sum()
    q = BASE.with_log_p(log_q).sequence_log_probs()
    exact = kl(q, student.sequence_log_probs())
    assert float(estimate) == pytest.approx(exact, rel=1e-4)
    if student is BASE:
        assert exact == pytest.approx(constraint_kl(PI, required), rel=1e-4)


def test_on_drawn_sequences_the_estimate_meets_minus_log_of_the_measured_acceptance() -> None:
    drawn = torch.multinomial(
        BASE.sequence_log_probs().exp(), 4000, True, generator=torch.Generator().manual_seed(3)
    )
    measured = float(ACCEPTED[drawn].mean())
    tilt, offsets = Tilt(), [0, 1, 6, 31]
    rows = [offsets[t] + drawn // VOCABULARY ** (LENGTH - t) for t in range(LENGTH)]
    prefixes = torch.stack(rows, dim=1).reshape(-1)
    terms = divergence(full_target(BASE.log_p(), IDEAL, tilt), BASE.log_p())[prefixes]
    weights = tilt.prefix_weights(LOG_PREFIX_R, LOG_PREFIX_R[:1])[prefixes]
    estimates = (terms * weights).reshape(-1, LENGTH).sum(dim=1)
    spread = float(estimates.std()) / math.sqrt(len(estimates))
    assert abs(float(estimates.mean()) + math.log(measured)) < 4 * spread + 0.02


def test_hopeless_prefixes_weigh_nothing() -> None:
    log_r = torch.tensor([0.5, 9e-5, 2e-4]).log()
    assert Tilt().prefix_weights(log_r, log_r[:1]).tolist() == pytest.approx([1, 0, 4e-4])
    assert float(Tilt(required=0.9, acceptance=0.5).prefix_weights(log_r, log_r[:1])[1]) == 0.0


# --- gradients ---


def test_the_gradient_at_the_logits_is_p_minus_q() -> None:
    logits = Tabular.random(9).log_p().requires_grad_()
    log_q = full_target(BASE.log_p(), IDEAL, Tilt())
    divergence(log_q, torch.log_softmax(logits, dim=-1)).sum().backward()
    assert logits.grad is not None
    assert torch.allclose(logits.grad, torch.softmax(logits, dim=-1) - log_q.exp(), atol=1e-9)


def test_without_the_stop_the_gradient_would_be_another_one() -> None:
    """Anchor `current`: q moves with p. The stop must not depend on the caller's detaching."""
    logits = Tabular.random(9).log_p()[:1].requires_grad_()

    def gradient(stop: bool) -> Tensor:
        log_p = torch.log_softmax(logits, dim=-1)
        log_q = full_target(log_p, SOFT_IDEAL[:1], Tilt())
        terms = divergence(log_q, log_p) if stop else (log_q.exp() * (log_q - log_p)).sum(-1)
        return torch.autograd.grad(terms.sum(), logits)[0][0]

    stopped, through = gradient(True), gradient(False)
    q = full_target(torch.log_softmax(logits, -1), SOFT_IDEAL[:1], Tilt()).exp()[0]
    assert torch.allclose(stopped, torch.softmax(logits, -1)[0] - q, atol=1e-9)
    assert not torch.allclose(stopped, through, atol=1e-3)
    assert int((stopped.sign() != through.sign()).sum()) >= 3


@pytest.mark.parametrize("tied", [True, False])
def test_a_fresh_head_leaves_the_model_as_it_is(tied: bool) -> None:
    """A zero-initialised head: q = p_A; the policy at its anchor: KL 0 and no gradient."""
    torch.manual_seed(0)
    table = torch.randn(11, 6)
    head = AuxiliaryHead(HeadShape(6, 11, blocks=2, tied=tied), table, acceptance=0.77)
    hidden = torch.randn(3, 6)
    logits = (hidden @ table.T).requires_grad_()
    log_p = torch.log_softmax(logits, dim=-1)
    r = head(hidden)
    assert torch.allclose(torch.sigmoid(r), torch.tensor(0.77))
    for tilt in (Tilt(), Tilt(required=0.9, acceptance=0.77)):
        log_q = full_target(log_p.detach(), r, tilt)
        assert torch.allclose(log_q, log_p, atol=1e-6)
        terms = divergence(log_q, log_p)
        assert float(terms.detach().abs().max()) < 1e-6
        gradient = torch.autograd.grad(terms.sum(), logits, retain_graph=True)[0]
        assert float(gradient.abs().max()) < 1e-6


@pytest.mark.parametrize("tied", [True, False])
def test_a_head_is_the_same_at_single_tokens_and_after_the_disk(tied: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    table = torch.randn(11, 6)
    head = AuxiliaryHead(HeadShape(6, 11, blocks=1, tied=tied), table)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter)
    hidden, ids = torch.randn(3, 6), torch.tensor([[0, 10], [3, 3], [5, 1]])
    r = head(hidden)
    assert torch.allclose(head.at(hidden, ids), r.gather(1, ids), atol=1e-4)
    save_head(head, tmp_path)
    assert torch.equal(load_head(tmp_path, table)(hidden), r)
    hidden.requires_grad_()
    (gradient,) = torch.autograd.grad(head(hidden).sum(), [hidden], allow_unused=True)
    assert gradient is None


# --- numbers ---


def test_log_space_holds_where_probabilities_vanish() -> None:
    generator = torch.Generator().manual_seed(0)
    log_p = torch.log_softmax(3 * torch.randn(50, 40, generator=generator), dim=-1)
    for shift in (-80.0, -20.0, 0.0, 20.0, 80.0):
        r = shift + 5 * torch.randn(50, 40, generator=generator)
        log_s, log_not_s = log_next_acceptance(log_p, r)
        exact_s, exact_not = log_next_acceptance(log_p.double(), r.double())
        assert torch.allclose(log_s.double(), exact_s, rtol=1e-5, atol=1e-5)
        assert torch.allclose(log_not_s.double(), exact_not, rtol=1e-5, atol=1e-5)
        assert bool(torch.isfinite(consistency_loss(r[:, 0], log_s, log_not_s)).all())


def test_consistency_is_zero_where_it_holds_and_teaches_the_prefix_alone() -> None:
    log_s, log_not_s = torch.tensor([0.3]).log(), torch.tensor([0.7]).log()
    assert float(consistency_loss(torch.logit(torch.tensor([0.3])), log_s, log_not_s)) < 1e-7
    r = torch.zeros(1, requires_grad=True)
    log_s.requires_grad_()
    loss = consistency_loss(r, log_s, log_not_s)
    assert float(loss.detach()) == pytest.approx(0.3 * math.log(0.6) + 0.7 * math.log(1.4))
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(r.grad) == pytest.approx(0.5 - 0.3)  # type: ignore[arg-type]
    assert log_s.grad is None


def test_the_acceptance_loss_by_hand() -> None:
    r = torch.logit(torch.tensor([0.8, 0.8]))
    losses = acceptance_loss(r, torch.tensor([1.0, 0.0]))
    assert losses.tolist() == pytest.approx([-math.log(0.8), -math.log(0.2)])


def test_importance_weights_have_mean_one_and_a_limit() -> None:
    weights = importance_weights(torch.tensor([0.0, 0.0, math.log(2), 50.0]), limit=4.0)
    assert float(weights.mean()) == pytest.approx(1.0)
    assert (weights / weights[0]).tolist() == pytest.approx([1, 1, 2, 4])


# --- buckets ---


@pytest.mark.parametrize("k", [1, 2, 4])
def test_buckets_never_diverge_more_than_the_vocabulary(k: int) -> None:
    anchor, student = BASE.log_p(), Tabular.random(4).log_p()
    best = anchor.topk(k, dim=-1).indices
    log_anchor = with_tail(anchor.gather(1, best))
    target = bucketed_target(log_anchor, SOFT_IDEAL.gather(1, best), SOFT_LOG_PREFIX_R, Tilt())
    full = full_target(anchor, SOFT_IDEAL, Tilt())
    assert torch.allclose(target.exp()[:, :k], full.exp().gather(1, best), atol=1e-6)
    coarse = divergence(target, with_tail(student.gather(1, best)))
    assert bool((coarse <= divergence(full, student) + 1e-9).all())
    assert float(coarse.sum()) > 0


def test_an_inconsistent_prefix_keeps_the_tail_a_probability() -> None:
    log_p = with_tail(torch.tensor([[0.6, 0.3]]).log())
    for claimed in (1e-6, 0.999):
        target = bucketed_target(
            log_p, torch.tensor([[0.0, 0.0]]), torch.tensor([claimed]).log(), Tilt()
        )
        assert float(target.exp().sum()) == pytest.approx(1.0)
    assert float(logsigmoid(torch.tensor(0.0))) == pytest.approx(math.log(0.5))


# --- what iterating these formulas does ---
# The loops and schedules below are the tests' own; the trainer's: test_regularised_anchors.py.


def learnt(targets: Tensor, data: Tensor, weight: float) -> Tensor:
    """The minimum of CE + weight KL at every prefix: the mixture (d + w q) / (1 + w)."""
    return ((data.exp() + weight * targets.exp()) / (1 + weight)).log()


def acceptance(model: Tabular) -> float:
    return float((model.sequence_log_probs().exp() * ACCEPTED).sum())


def descended(steps: int, *, moves: bool) -> float:
    """KL to the base, in nats, after gradient steps towards targets made of the table itself.

    They are made of the base, or of the table as it `moves`.
    """
    logits = BASE.log_p().clone().requires_grad_()
    for _ in range(steps):
        log_p = torch.log_softmax(logits, dim=-1)
        projected = log_p.detach() if moves else BASE.log_p()
        loss = divergence(full_target(projected, SOFT_IDEAL, Tilt()), log_p)
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        logits = (logits - 0.5 * gradient).detach().requires_grad_()
    model = BASE.with_log_p(torch.log_softmax(logits.detach(), dim=-1))
    return kl(model.sequence_log_probs(), BASE.sequence_log_probs())


def test_a_projection_of_the_base_is_a_fixed_point_and_one_of_the_policy_drifts() -> None:
    """By enumeration: against exact R that is not refreshed, ten times the steps."""
    q = BASE.with_log_p(full_target(BASE.log_p(), SOFT_IDEAL, Tilt()))
    target = kl(q.sequence_log_probs(), BASE.sequence_log_probs())
    assert descended(200, moves=False) == pytest.approx(target, abs=5e-3)
    assert descended(2000, moves=False) == pytest.approx(target, abs=2e-3)
    assert descended(2000, moves=True) > descended(200, moves=True) + 1 > target + 2


@pytest.mark.parametrize("weight", [0.5, 1.0, 3.0])
def test_an_r_that_is_one_iteration_old_ends_at_the_same_acceptance(weight: float) -> None:
    """By enumeration, on toxic data: theta_t by exact R of theta_{t-1}, or of theta_{t-2}."""
    data = Tabular.random(5).log_p()
    rates = {}
    for age in (1, 2):
        models = [BASE]
        heads = [next_logits(BASE.acceptances(ACCEPTED))]
        for t in range(6):
            used = heads[-1] if t == 0 else heads[-age]
            target = full_target(models[-1].log_p(), used, Tilt())
            models.append(BASE.with_log_p(learnt(target, data, weight)))
            heads.append(next_logits(models[-1].acceptances(ACCEPTED)))
        rates[age] = acceptance(models[-1])
    unregularised = acceptance(BASE.with_log_p(data))
    assert rates[1] == pytest.approx(rates[2], abs=0.01)
    assert min(rates.values()) > unregularised
