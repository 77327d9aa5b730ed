"""DExperts and the anti-expert: the formula by PEFT's own adapters; what must change nothing."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor

from detoxlab.errors import ConfigError, ModelError
from detoxlab.generate import LocalEngine
from detoxlab.generate.choice import kept_tokens
from detoxlab.generate.memory import rows_that_fit
from detoxlab.models import LanguageModel, evaluating, load_model
from detoxlab.models.adapters.factors import read_factors
from detoxlab.models.adapters.load import find_adapter
from detoxlab.records import Generation, Prompt, Sampling
from detoxlab.steering import check_steering, load_steering, with_place
from detoxlab.steering.experts import Experts
from detoxlab.subject import Subject
from tests.support.layouts import layout_lm, layout_model
from tests.support.lora import save_lora
from tests.support.tiny import save_tiny

LAYOUTS = ("llama", "gpt2")
SAMPLING = Sampling(k=3, max_new_tokens=10, top_p=0.9, seed=4)
PROMPTS = [Prompt(f"p{i}", "so what" + " then" * (i % 3), "test") for i in range(5)]
IDS, RESPONSE = [5, 6, 7, 8], [9, 10, 11]


@pytest.fixture(params=LAYOUTS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(tmp_path: Path, kind: str) -> Path:
    """Adapters `good`, `bad` and `null` of the layout's model."""
    for name, seed, spread in (("good", 1, 0.3), ("bad", 2, 0.3), ("null", 3, 0.0)):
        save_lora(tmp_path / name, layout_model(kind), seed, spread)
    return tmp_path


def drawn(subject: Subject, sampling: Sampling = SAMPLING, **engine: Any) -> list[Generation]:
    rows = LocalEngine(subject, chat=False, **engine).generate(PROMPTS, sampling)
    assert len({row.token_ids for row in rows}) > 1
    return rows


def steered(kind: str, name: str, folder: Path) -> Subject:
    return Subject(layout_lm(kind), (load_steering(with_place(name, f"{folder}/{{}}".format)),))


@torch.no_grad()
def logits_of(kind: str, adapter: Path | None) -> Tensor:
    """Logits (T, V) of whole text, by transformers and PEFT alone."""
    model = layout_model(kind)
    if adapter:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "fan_in_fan_out")
            model = PeftModel.from_pretrained(model, adapter).eval()
    found: Tensor = model(torch.tensor([[*IDS, *RESPONSE]])).logits[0]
    return found


# --- what changes nothing ---


@pytest.mark.parametrize(
    "name", ["dexperts:good+good@3", "dexperts:good+bad@0", "anti-expert:bad@0"]
)
@pytest.mark.parametrize("temperature", [1.0, 0.7, 0.0])
def test_equal_experts_and_strength_0_are_the_base_to_the_bit(
    kind: str, folder: Path, name: str, temperature: float
) -> None:
    base, subject = Subject(layout_lm(kind)), steered(kind, name, folder)
    sampling = Sampling(k=3, max_new_tokens=10, top_p=0.9, temperature=temperature)
    assert drawn(subject, sampling) == drawn(base, sampling)
    asked = [IDS, IDS[:2]], [RESPONSE, RESPONSE[:1]]
    for ours, theirs in zip(
        subject.token_log_probs(*asked), base.token_log_probs(*asked), strict=True
    ):
        assert ours.tolist() == theirs.tolist()


@pytest.mark.parametrize("name", ["dexperts:null+null@2", "anti-expert:null@2"])
def test_null_experts_give_the_same_tokens(
    kind: str, folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their caches grow several times on the way."""
    monkeypatch.setattr("detoxlab.steering.experts.ROOM", 1)
    assert drawn(steered(kind, name, folder)) == drawn(Subject(layout_lm(kind)))


def test_the_base_keeps_its_weights_and_modules(kind: str, folder: Path) -> None:
    subject = steered(kind, "dexperts:good+bad@2", folder)
    before = {name: value.clone() for name, value in subject.lm.model.state_dict().items()}
    drawn(subject)
    after = subject.lm.model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not any(module._forward_hooks for module in subject.lm.model.modules())


# --- the formula ---


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("dexperts:good+bad@1.5", lambda z, good, bad: z + 1.5 * (good - bad)),
        ("anti-expert:bad@1.5", lambda z, _good, bad: z + 1.5 * (z - bad)),
    ],
)
def test_log_probabilities_by_hand(
    kind: str, folder: Path, name: str, formula: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> None:
    """No mask of top-p is in them: every token has a finite log-probability."""
    z = formula(*(logits_of(kind, one) for one in (None, folder / "good", folder / "bad")))
    log_probs_TV = z.log_softmax(dim=-1)
    expected = [float(log_probs_TV[len(IDS) - 1 + at, one]) for at, one in enumerate(RESPONSE)]
    (found,) = steered(kind, name, folder).token_log_probs([IDS], [RESPONSE])
    assert found.tolist() == pytest.approx(expected, abs=1e-4)


def test_factors_are_added_as_peft_does(kind: str, folder: Path) -> None:
    lm = layout_lm(kind)
    factors = read_factors(lm, find_adapter(folder / "good"))
    with evaluating(lm), factors.added(lm):
        found_TV = lm.model(torch.tensor([[*IDS, *RESPONSE]])).logits[0]
    assert torch.equal(found_TV, logits_of(kind, folder / "good"))


@pytest.mark.parametrize("temperature", [1.0, 0.0])
def test_only_the_nucleus_of_the_base_is_drawn(kind: str, folder: Path, temperature: float) -> None:
    """Each drawn token is among those that the base's top-p keeps; some are not the sum's own."""
    sampling = Sampling(k=8, max_new_tokens=6, top_p=0.5, temperature=temperature)
    subject, base = steered(kind, "dexperts:good+bad@3", folder), layout_lm(kind)
    outside = 0
    for row in drawn(subject, sampling):
        ids = base.prompt_ids(next(p.text for p in PROMPTS if p.id == row.prompt_id), chat=False)
        whole = torch.tensor([[*ids, *row.token_ids]])
        with evaluating(base):
            logits_TV = base.model(whole).logits[0, len(ids) - 1 : -1].float()
        kept = kept_tokens(logits_TV, Sampling(top_p=0.5))
        for at, token in enumerate(row.token_ids):
            allowed = kept.ids_BC[at][kept.weights_BC[at] > float("-inf")].tolist()
            assert token in allowed
            outside += token != allowed[0]
    assert outside > 0


def test_weights_come_from_the_sum_and_the_set_from_the_nucleus() -> None:
    """Of p = (.5, .3, .2) top-p .7 keeps the first two tokens; their weights are those steered."""
    nucleus_BV = torch.tensor([[0.5, 0.3, 0.2]]).log()
    logits_BV = torch.tensor([[1.0, 4.0, 9.0]])
    kept = kept_tokens(logits_BV, Sampling(top_p=0.7, temperature=2.0), nucleus_BV=2 * nucleus_BV)
    assert kept.ids_BC[0].tolist() == [0, 1, 2]
    assert kept.weights_BC[0].tolist() == [0.5, 2.0, float("-inf")]
    greedy = kept_tokens(logits_BV, Sampling(top_p=0.7, temperature=0.0), nucleus_BV=nucleus_BV)
    assert greedy.ids_BC.tolist() == [[1]]


def test_an_adapter_of_the_model_and_its_experts_share_one_base(tmp_path: Path) -> None:
    """Experts are on the base alone, without the adapter that is measured."""
    base = save_tiny(tmp_path / "base")
    for seed, name in enumerate(("own", "good", "bad")):
        save_lora(tmp_path / name, load_model(base).model, seed)
    z = [float("nan")] * 3
    for at, name in enumerate(("own", "good", "bad")):
        lm = load_model(base, adapter=tmp_path / name)
        with evaluating(lm):
            z[at] = lm.model(torch.tensor([[*IDS, *RESPONSE]])).logits[0]
    expected_TV = (z[0] + 2 * (z[1] - z[2])).log_softmax(dim=-1)
    name = f"dexperts:{tmp_path}/good+{tmp_path}/bad@2"
    subject = Subject(load_model(base, adapter=tmp_path / "own"), (load_steering(name),))
    (found,) = subject.token_log_probs([IDS], [RESPONSE])
    wanted = [float(expected_TV[len(IDS) - 1 + at, one]) for at, one in enumerate(RESPONSE)]
    assert found.tolist() == pytest.approx(wanted, abs=1e-4)


# --- names, cost, errors ---


def test_passes_count_towards_the_batch(folder: Path, kind: str) -> None:
    both, anti = (steered(kind, name, folder) for name in ("dexperts:good+bad", "anti-expert:bad"))
    assert (both.passes_per_token, anti.passes_per_token) == (3, 2)
    lm = both.lm
    assert rows_that_fit(lm, 10**6, 3) * 3 <= rows_that_fit(lm, 10**6)


def test_the_id_names_both_adapters_and_the_strength(folder: Path, kind: str) -> None:
    one, other = (steered(kind, f"dexperts:{a}@0.5", folder).id for a in ("good+bad", "bad+good"))
    assert one != other
    assert one.partition("+")[2].startswith("dexperts@")
    assert one.endswith("*0.5")


def test_what_cannot_be_an_expert_says_why(tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base")
    lm: LanguageModel = load_model(base)
    save_lora(tmp_path / "good", load_model(base).model)
    save_lora(tmp_path / "dora", load_model(base).model, use_dora=True)
    save_lora(tmp_path / "head", load_model(base).model, modules_to_save=["embed_tokens"])
    for name, reason in (("dora", "other weights"), ("head", "other weights")):
        with (
            pytest.raises(ModelError, match=reason),
            load_steering(f"anti-expert:{tmp_path / name}").on(lm),
        ):
            pass
    for wrong in (f"dexperts:{tmp_path}/good", f"anti-expert:{tmp_path}/good+{tmp_path}/good"):
        with pytest.raises(ConfigError, match="not of the form"):
            check_steering(wrong)
    with pytest.raises(ModelError, match="not a model"):
        check_steering(f"dexperts:{tmp_path}/good+{tmp_path}/none")
    with pytest.raises(ConfigError, match="0 or above"):
        Experts.load("anti-expert", f"{tmp_path}/good", strength=-1.0)
