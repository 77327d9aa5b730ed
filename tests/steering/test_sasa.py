"""SASA: margins by hand from plain forward passes, the fit by hand, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from detoxlab import processes
from detoxlab.data.split import PairSplit, TextSplit
from detoxlab.errors import ModelError, TrainingError
from detoxlab.generate import LocalEngine
from detoxlab.methods import load_method
from detoxlab.methods.sasa.train import discriminant, end_states
from detoxlab.models import LanguageModel, evaluating
from detoxlab.records import Preference, Prompt, Sampling, Text
from detoxlab.runs import Run
from detoxlab.steering import load_steering
from detoxlab.steering.candidates import check_candidates
from detoxlab.steering.sasa import Sasa
from detoxlab.subject import Subject
from tests.support.discriminants import save_sasa
from tests.support.layouts import layout_lm
from tests.support.tiny import tiny_lm

K, BETA, END = 4, 2.5, 0
IDS, RESPONSE = [5, 6, 7, 8], [9, 10, END]


def last_state(lm: LanguageModel, ids: list[int]) -> np.ndarray[Any, Any]:
    """The last hidden state of a text alone, by a plain forward pass."""
    with evaluating(lm):
        outputs = lm.model(torch.tensor([ids]), output_hidden_states=True, use_cache=False)
    state: np.ndarray[Any, Any] = outputs.hidden_states[-1][0, -1].double().numpy()
    return state


def expected(lm: LanguageModel, folder: Path, ids: list[int], target: int) -> float:
    """The log-probability of one token, candidate by candidate."""
    with evaluating(lm):
        z_V = lm.model(torch.tensor([ids]), use_cache=False).logits[0, -1].double().numpy()
    line = {name: value.double().numpy() for name, value in load_file(folder).items()}
    best = np.argsort(-z_V)[:K]
    margins = [
        (last_state(lm, [*ids, int(v)]) - line["line.mid"]) @ line["line.normal"] for v in best
    ]
    shares = np.exp(margins - max(margins))
    p_V = np.exp(z_V - z_V.max())
    p_V /= p_V.sum()
    made_V = p_V.copy()
    made_V[best] *= np.exp(BETA * shares / shares.sum())
    others = np.arange(len(p_V)) != END
    made_V[others] *= p_V[others].sum() / made_V[others].sum()
    made_V[END] = p_V[END]
    return float(np.log(made_V[target]))


@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen2", "gpt_neox"])
def test_margins_by_hand(kind: str, tmp_path: Path) -> None:
    """A text alone, and beside a longer one, which pads it; candidates are drawn from too."""
    lm = layout_lm(kind)
    save_sasa(tmp_path / "line", width=32, candidates=K)
    subject = Subject(lm, (Sasa.load(tmp_path / "line", strength=BETA),))
    found, _ = subject.token_log_probs([IDS, [*IDS, *IDS]], [RESPONSE, RESPONSE])
    file = tmp_path / "line" / "steering.safetensors"
    wanted = [
        expected(lm, file, [*IDS, *RESPONSE[:at]], token) for at, token in enumerate(RESPONSE)
    ]
    assert found.tolist() == pytest.approx(wanted, abs=1e-4)
    plain, _ = Subject(lm).token_log_probs([IDS, [*IDS, *IDS]], [RESPONSE, RESPONSE])
    assert abs(found - plain).max() > 1e-3


def test_only_the_nucleus_of_the_base_is_drawn(tmp_path: Path) -> None:
    """Of top-p so low that one token is kept, it is the base's whatever the margins say."""
    save_sasa(tmp_path / "line", width=32, candidates=K)
    subject = Subject(tiny_lm(), (Sasa.load(tmp_path / "line", strength=50.0),))
    prompts, sampling = (
        [Prompt("p", "so what", "test")],
        Sampling(k=2, max_new_tokens=8, top_p=1e-6),
    )
    drawn = [
        LocalEngine(one, chat=False).generate(prompts, sampling)
        for one in (subject, Subject(tiny_lm()))
    ]
    assert drawn[0] == drawn[1]


def test_many_places_are_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_sasa(tmp_path / "line", width=32, candidates=K)
    subject = Subject(tiny_lm(), (Sasa.load(tmp_path / "line", strength=BETA),))
    asked = [IDS, IDS[:1]], [RESPONSE * 5, RESPONSE]
    at_once = subject.token_log_probs(*asked)
    monkeypatch.setattr("detoxlab.steering.sasa.LEAVES", 3 * K)
    for whole, parts in zip(at_once, subject.token_log_probs(*asked), strict=True):
        assert parts.tolist() == pytest.approx(whole.tolist(), abs=1e-4)


def test_strength_0_is_the_base_to_the_bit(tmp_path: Path) -> None:
    save_sasa(tmp_path / "line", width=32, candidates=K)
    subject = Subject(tiny_lm(), (Sasa.load(tmp_path / "line", strength=0.0),))
    assert subject.passes_per_token == 1
    prompts = [Prompt("p", "so what", "test"), Prompt("q", "then", "test")]
    drawn = [
        LocalEngine(one, chat=False).generate(prompts, Sampling(k=3, max_new_tokens=8, top_p=0.9))
        for one in (subject, Subject(tiny_lm()))
    ]
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("kind", ["mamba", "bloom", "mistral", "jamba"])
def test_a_model_that_cannot_read_candidates_side_by_side_is_refused(kind: str) -> None:
    """States, no positions, windows of attention."""
    with pytest.raises(ModelError, match="side by side"):
        check_candidates(layout_lm(kind))


def test_another_width_is_refused(tmp_path: Path) -> None:
    save_sasa(tmp_path / "line", width=16, candidates=K)
    with pytest.raises(ModelError, match="width 16"):
        Subject(tiny_lm(), (Sasa.load(tmp_path / "line"),))


# --- the fit ---


def texts(count: int, start: int = 0) -> list[Text]:
    made = [("toxic", f"you fool number {i}") for i in range(start, start + count)]
    made += [("non-toxic", f"kind words {i} for you") for i in range(start, start + count)]
    return [Text(f"{at}", text, "test", domain) for at, (domain, text) in enumerate(made)]


def test_the_discriminant_by_hand() -> None:
    """Two points each: within covariance (1, 4) on the diagonal, half of it made round."""
    toxic_ND = np.array([[0.0, 2.0], [2.0, -2.0]])
    other_ND = np.array([[4.0, 4.0], [6.0, 8.0]])
    found = discriminant(toxic_ND, other_ND, shrinkage=0.5)
    assert found.mid_D.tolist() == [3.0, 3.0]
    covariance = np.array([[(1 + 2.5) / 2, 0.0], [0.0, (4 + 2.5) / 2]])
    assert found.normal_D == pytest.approx([4 / covariance[0, 0], 6 / covariance[1, 1]])


def test_training_leaves_a_steering_that_tells_the_texts_apart(tmp_path: Path) -> None:
    lm = tiny_lm()
    method = load_method("sasa", {"candidates": 6, "max_length": 16})
    run = Run.start(tmp_path / "run", kind="train", config=method.config.model_dump(mode="json"))
    with run.writing():
        folder = method.fit(lm, TextSplit(texts(20), texts(8, start=50)), run)
    assert run.info["makes"] == "steering"
    assert run.info["texts_learnt"] == {"toxic": 20, "other": 20}
    assert run.info["held_out_auroc"] > 0.9
    assert json.loads((folder / "steering.json").read_text())["shrinkage"] == 0.1
    steering = load_steering(f"sasa:{run.path}@2")
    assert steering.id.startswith("sasa@")
    states_ND = end_states(lm, [one.text for one in texts(20)], 16)
    line = {
        name: value.double().numpy()
        for name, value in load_file(folder / "steering.safetensors").items()
    }
    by_hand = discriminant(states_ND[:20], states_ND[20:], 0.1)
    assert line["line.normal"] == pytest.approx(by_hand.normal_D, rel=1e-4, abs=1e-4)
    assert states_ND[0] == pytest.approx(
        last_state(lm, lm.prompt_ids(texts(20)[0].text, chat=False)[:16]), abs=1e-4
    )


def test_pairs_are_two_kinds_of_text_and_one_kind_alone_is_refused(tmp_path: Path) -> None:
    pairs = [Preference(str(i), (), f"kind words {i}", f"you fool {i}", "test") for i in range(4)]
    run = Run.start(tmp_path / "pairs", kind="train", config={})
    with run.writing():
        load_method("sasa").fit(tiny_lm(), PairSplit(pairs), run)
    assert run.info["texts_learnt"] == {"toxic": 4, "other": 4}
    assert run.info["held_out_auroc"] is None
    named = [Text(str(i), "so what", "test", "nice") for i in range(4)]
    run = Run.start(tmp_path / "run", kind="train", config={})
    with run.writing(), pytest.raises(TrainingError, match="0 toxic texts and 4 others"):
        load_method("sasa").fit(tiny_lm(), TextSplit(named), run)
    with pytest.raises(ModelError, match="holds no steering"):
        load_steering(f"sasa:{run.path}")


def test_it_is_fitted_by_one_process_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processes, "count", lambda: 2)
    method, run = load_method("sasa", {}), Run.start(tmp_path / "run", kind="train", config={})
    with pytest.raises(TrainingError, match="sasa runs in one process"):
        method.fit(tiny_lm(), TextSplit(texts(4), texts(2, 10)), run)
