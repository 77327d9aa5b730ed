"""The laws of steering sessions, for every steering: what a batch is made of changes nothing."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from detoxlab.auxiliary.head import AuxiliaryHead, HeadShape, save_head
from detoxlab.errors import ConfigError, ModelError, UnknownNameError
from detoxlab.generate import LocalEngine, generate_into, memory
from detoxlab.generate.memory import rows_that_fit
from detoxlab.models import LanguageModel, Session, Tokens, evaluating, token_log_probs
from detoxlab.models.hidden import output_layer
from detoxlab.records import Generation, Prompt, Sampling
from detoxlab.runs import Run, TornLineWarning
from detoxlab.steering import Steering, check_steering
from detoxlab.steering.activations.files import Content, Positions, SiteMap, write_steering
from detoxlab.steering.activations.session import ActivationSteering
from detoxlab.steering.experts import Experts
from detoxlab.steering.nado import Nado
from detoxlab.steering.sasa import Sasa
from detoxlab.subject import Subject
from tests.support.discriminants import save_sasa
from tests.support.lora import save_lora
from tests.support.plugins.steer_bias import Bias
from tests.support.plugins.steer_vector import LAYER, Vector
from tests.support.tiny import tiny_lm, tiny_model

STORED = "generations/worker-0.jsonl"
STOPS = tuple("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
SAMPLING = Sampling(k=3, max_new_tokens=12, seed=2, stop=STOPS)  # rows end at many steps
PROMPTS = [Prompt(f"p{i}", "so what" + " then" * (i % 4) + "!" * i, "test") for i in range(8)]


@dataclass
class Seen:
    """A steering that makes the tokens of a row so far rarer, prompt included.

    Its session keeps a table of its own, (rows, vocabulary), which must follow the batch.
    """

    strength: float = 1.5
    id = "seen"
    training_scorers = ()

    @contextlib.contextmanager
    def on(self, lm: LanguageModel) -> Iterator[Session]:
        yield SeenSession(self.strength, lm.embedding_rows)


@dataclass
class SeenSession(Session):
    strength: float
    vocabulary: int
    counts_RV: Tensor | None = None
    counts_BTV: Tensor | None = None

    def reading(self, tokens: Tokens) -> None:
        ones = torch.nn.functional.one_hot(tokens.ids_BT, self.vocabulary)
        self.counts_BTV = (ones * tokens.is_text_BT[:, :, None]).cumsum(dim=1)
        if self.counts_RV is not None:
            self.counts_BTV = self.counts_BTV + self.counts_RV[:, None]
        self.counts_RV = self.counts_BTV[:, -1]

    def trying(self, tokens: Tokens) -> None:
        """Tokens that do not stay are not counted."""

    def logits(self, tokens: Tokens, logits: Tensor) -> Tensor:
        del tokens
        counts = self.counts_RV if logits.ndim == 2 else self.counts_BTV[:, -logits.shape[1] :]
        return logits - self.strength * counts

    def select(self, rows_R: Tensor) -> None:
        self.counts_RV = self.counts_RV[rows_R]


@dataclass
class Watching:
    """A steering that changes nothing and keeps the tokens of each pass."""

    passes: list[Tokens] = field(default_factory=list)
    id = "watching"
    training_scorers = ()

    @contextlib.contextmanager
    def on(self, lm: LanguageModel) -> Iterator[Session]:
        del lm
        session = Session()
        session.reading = self.passes.append  # type: ignore[method-assign]
        yield session


@dataclass
class Doubling:
    """A steering that doubles what a layer hands on, at every token, and the logits."""

    id = "doubling"
    training_scorers = ()

    @contextlib.contextmanager
    def on(self, lm: LanguageModel) -> Iterator[Session]:
        layer = lm.model.get_decoder().layers[LAYER]
        handle = layer.register_forward_hook(lambda _module, _inputs, hidden: 2 * hidden)
        session = Session()
        session.logits = lambda _tokens, logits: 2 * logits  # type: ignore[method-assign]
        try:
            yield session
        finally:
            handle.remove()


def vector_D() -> Tensor:
    return torch.randn(32, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def vector(tmp_path: Path) -> Vector:
    save_file({"vector": vector_D()}, tmp_path / "vector.safetensors")
    return Vector(str(tmp_path / "vector.safetensors"), 1.0)


@pytest.fixture
def nado(tmp_path: Path) -> Nado:
    table_VD = output_layer(tiny_lm()).weight_VD
    torch.manual_seed(0)
    head = AuxiliaryHead(HeadShape(table_VD.shape[1], table_VD.shape[0]), table_VD)
    torch.nn.init.normal_(head.out.weight)
    save_head(head, tmp_path / "head")
    return Nado.load(tmp_path / "head")


MAPS: dict[str, tuple[str, dict[str, float]]] = {
    "0.input_layernorm": ("affine", {"weight": 0.5, "bias": 0.3}),
    "0.heads": ("shift", {"vector": 0.3}),
    "1.post_attention_layernorm": ("affine", {"weight": 0.5, "bias": 0.3, "low": 0.4, "high": 2}),
    "1.gate": ("scale", {"damping": 0.5}),
    "1.residual": ("projection", {"direction": 0.2}),
}
"""An activation steering with every map: by site its map, and the spread of its vectors."""


def activations(folder: Path, positions: Positions) -> ActivationSteering:
    torch.manual_seed(1)
    maps = {
        key: SiteMap(
            name,
            {
                vector: by * torch.randn(64 if key == "1.gate" else 32) - 2 * (vector == "low")
                for vector, by in spreads.items()
            },
        )
        for key, (name, spreads) in MAPS.items()
    }
    sites = {key: one.map for key, one in maps.items()}
    write_steering(folder, Content("caa", positions, sites, (), {"model": "tiny"}), maps)
    return ActivationSteering(folder, 0.8)


@pytest.fixture
def experts(tmp_path: Path) -> Experts:
    for seed, name in enumerate(("good", "bad")):
        save_lora(tmp_path / name, tiny_model(), seed, spread=0.05)
    return Experts.load("dexperts", f"{tmp_path}/good+{tmp_path}/bad", strength=0.5)


@pytest.fixture
def sasa(tmp_path: Path) -> Sasa:
    save_sasa(tmp_path / "sasa", width=32, candidates=5)
    return Sasa.load(tmp_path / "sasa", strength=3.0)


KINDS = (
    "bias",
    "vector",
    "nado",
    "seen",
    "all",
    "response",
    "vector+all+seen+nado+bias",
    "experts",
    "sasa",
    "experts+sasa+vector+seen+nado",
    "nado+response+sasa+all+experts",
)


@pytest.fixture(params=KINDS)
def steerings(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    vector: Vector,
    nado: Nado,
    experts: Experts,
    sasa: Sasa,
) -> tuple[Steering, ...]:
    known = {"bias": Bias("70,71,72,104", 4.0), "vector": vector, "nado": nado, "seen": Seen()}
    known |= {"experts": experts, "sasa": sasa}
    known |= {
        "all": activations(tmp_path / "all", "all"),
        "response": activations(tmp_path / "response", "response"),
    }
    return tuple(known[name] for name in request.param.split("+"))


def drawn(
    subject: Subject, prompts: Sequence[Prompt] = PROMPTS, batch_size: int = 8
) -> dict[tuple[str, int], Generation]:
    engine = LocalEngine(subject, chat=False, batch_size=batch_size)
    rows = [
        row
        for batch in engine.batches(prompts, SAMPLING)
        for row in engine.generate(batch, SAMPLING)
    ]
    return {(row.prompt_id, row.sample): row for row in rows}


@dataclass
class Keeping(Session):
    """Keeps the logits (R, steps, V) that the rows of a batch were drawn from."""

    logits_RSV: Tensor | None = None
    id = "keeping"
    training_scorers = ()

    @contextlib.contextmanager
    def on(self, lm: LanguageModel) -> Iterator[Session]:
        del lm
        yield self

    def logits(self, tokens: Tokens, logits: Tensor) -> Tensor:
        del tokens
        before = [] if self.logits_RSV is None else [self.logits_RSV]
        self.logits_RSV = torch.cat([*before, logits[:, None]], dim=1)
        return logits

    def select(self, rows_R: Tensor) -> None:
        self.logits_RSV = self.logits_RSV[rows_R]


# --- laws ---


def test_batches_and_their_order_change_no_response(steerings: tuple[Steering, ...]) -> None:
    """Prompts of unlike length, of which rows end early: together, one by one, in reverse."""
    subject = Subject(tiny_lm(), steerings)
    together = drawn(subject)
    lengths = {len(row.token_ids) for row in together.values()}
    assert len(lengths) > 5  # rows left the batch at many steps
    assert together != drawn(Subject(tiny_lm()))
    assert drawn(subject, batch_size=1) == together
    assert drawn(subject, PROMPTS[::-1], batch_size=3) == together


def test_a_run_that_was_cut_off_resumes_to_the_same_bytes(
    steerings: tuple[Steering, ...], tmp_path: Path
) -> None:
    """Cut in the middle of a row of the second of three batches."""

    def drawn_into(run: Run) -> bytes:
        engine = LocalEngine(Subject(tiny_lm(), steerings), chat=False, batch_size=2)
        with run.writing():
            generate_into(run, engine, PROMPTS[:5], SAMPLING)
        return (run.path / STORED).read_bytes()

    run = Run.start(tmp_path / "run", kind="measure", config={})
    whole = drawn_into(run)
    (run.path / STORED).write_bytes(whole[: len(whole) // 2])
    with pytest.warns(TornLineWarning):
        assert drawn_into(run) == whole


def test_responses_are_scored_by_what_they_were_drawn_from(steerings: tuple[Steering, ...]) -> None:
    """Steps of a padded batch with a cache, against one pass over whole texts."""
    lm, keeping = tiny_lm(), Keeping()
    engine = LocalEngine(Subject(lm, (*steerings, keeping)), chat=False)
    rows = engine.generate(PROMPTS, Sampling(k=2, max_new_tokens=6))
    assert {row.finish_reason for row in rows} == {"length"}
    prompts_ids = {prompt.id: lm.prompt_ids(prompt.text, chat=False) for prompt in PROMPTS}
    scored = Subject(lm, steerings).token_log_probs(
        [prompts_ids[row.prompt_id] for row in rows], [row.token_ids for row in rows]
    )
    log_probs_RSV = keeping.logits_RSV.log_softmax(dim=-1)
    for row, values, log_probs_SV in zip(rows, scored, log_probs_RSV, strict=True):
        ids = torch.tensor(row.token_ids)[:, None]
        assert values.tolist() == pytest.approx(
            log_probs_SV.gather(1, ids)[:, 0].tolist(), abs=1e-4
        )


def test_hooks_are_gone_afterwards_also_after_an_error(steerings: tuple[Steering, ...]) -> None:
    lm = tiny_lm()
    (plain,) = token_log_probs(lm, [[5, 6]], [[7, 8]])
    subject = Subject(lm, steerings)
    (steered,) = subject.token_log_probs([[5, 6]], [[7, 8]])
    with pytest.raises(RuntimeError, match="broken"), subject.session():
        raise RuntimeError("broken")
    (after,) = token_log_probs(lm, [[5, 6]], [[7, 8]])
    assert after.tolist() == plain.tolist() != steered.tolist()


def test_the_base_answers_untouched_and_never_while_it_is_steered(
    steerings: tuple[Steering, ...],
) -> None:
    lm = tiny_lm()
    subject = Subject(lm, steerings)
    with subject.base() as base:
        (values,) = token_log_probs(base, [[5, 6]], [[7, 8]])
    assert values.tolist() == token_log_probs(lm, [[5, 6]], [[7, 8]])[0].tolist()
    with subject.session(), pytest.raises(ModelError, match="while it is steered"), subject.base():
        pass


# --- positions ---


def test_a_pass_says_which_tokens_are_text_and_which_are_response() -> None:
    lm, watching = tiny_lm(), Watching()
    subject = Subject(lm, (watching,))
    LocalEngine(subject, chat=False).generate(PROMPTS[:3], Sampling(k=2, max_new_tokens=3))
    first, *steps = watching.passes
    lengths = [len(lm.prompt_ids(prompt.text, chat=False)) for prompt in PROMPTS[:3]]
    assert first.is_text_BT.sum(dim=1).tolist() == lengths
    assert first.is_text_BT[:, -1].all()  # padding is on the left
    assert not first.is_response_BT.any()
    assert first.positions_BT[:, -1].tolist() == [length - 1 for length in lengths]
    for at, step in enumerate(steps):
        assert bool(step.is_response_BT.all() and step.is_text_BT.all())
        assert step.positions_BT[:, 0].tolist() == [n + at for n in lengths for _ in range(2)]
    watching.passes.clear()
    subject.token_log_probs([[5, 6, 7], [8]], [[9, 10], [11]], continued=[1, 0])
    (whole,) = watching.passes
    assert whole.is_response_BT.int().tolist() == [[0, 0, 1, 1, 1], [0, 0, 0, 0, 1]]
    assert whole.is_text_BT.int().tolist() == [[1, 1, 1, 1, 1], [0, 0, 0, 1, 1]]


@torch.no_grad()
def test_a_vector_is_added_at_the_response_alone(vector: Vector) -> None:
    """By hand on each row alone, unpadded; the shorter one is padded in the batch."""
    lm = tiny_lm()
    prompts_ids, responses_ids = [[5, 6, 7, 8], [9]], [[10, 11, 12], [13, 14]]
    found = Subject(lm, (vector,)).token_log_probs(prompts_ids, responses_ids)
    for prompt, response, values in zip(prompts_ids, responses_ids, found, strict=True):
        shift_TD = torch.zeros(len(prompt) + len(response), 32)
        shift_TD[len(prompt) :] = vector_D()
        logits_TV = by_hand(lm, [*prompt, *response], lambda hidden, by=shift_TD: hidden + by)
        log_probs_TV = logits_TV.log_softmax(dim=-1)[len(prompt) - 1 : -1]
        expected = log_probs_TV.gather(1, torch.tensor(response)[:, None])[:, 0]
        assert values.tolist() == pytest.approx(expected.tolist(), abs=1e-4)


@torch.no_grad()
def test_steerings_stack_in_order(vector: Vector) -> None:
    """Twice the layer and then the vector, or both twice; and likewise for the logits."""
    lm, bias, doubling, ids = tiny_lm(), Bias("8", 3.0), Doubling(), [5, 6, 7]
    shift_TD, bias_V = torch.zeros(3, 32), torch.zeros(260)
    shift_TD[2:], bias_V[8] = vector_D(), -3.0
    doubled_first = by_hand(lm, ids, lambda hidden: 2 * hidden + shift_TD)
    doubled_last = by_hand(lm, ids, lambda hidden: 2 * (hidden + shift_TD))
    for stack, logits_TV in (
        ((doubling, vector, bias), 2 * doubled_first + bias_V),
        ((vector, bias, doubling), 2 * (doubled_last + bias_V)),
    ):
        (found,) = Subject(lm, stack).token_log_probs([ids[:2]], [[7, 8]])
        expected = float(logits_TV.log_softmax(dim=-1)[2, 8])
        assert float(found[1]) == pytest.approx(expected, abs=1e-4)


def by_hand(lm: LanguageModel, ids: list[int], change: Callable[[Tensor], Tensor]) -> Tensor:
    """Logits (T, V) of one row with a change of what the layer hands on."""
    layer = lm.model.get_decoder().layers[LAYER]
    handle = layer.register_forward_hook(lambda _module, _inputs, hidden: change(hidden))
    with evaluating(lm):
        logits_TV: Tensor = lm.model(torch.tensor([ids]), use_cache=False).logits[0]
    handle.remove()
    return logits_TV


# --- the subject ---


def test_the_name_of_a_subject_tells_all_that_changes_it(vector: Vector, nado: Nado) -> None:
    subject = Subject(tiny_lm(), (nado, Bias("7", 0.5)))
    assert subject.id == f"tiny@00000000+{nado.id}+bias@7*0.5"
    assert subject.fingerprint()["id"] == subject.id
    assert subject.fingerprint()["steering"] == f"{nado.id}+bias@7*0.5"
    assert Subject(tiny_lm()).id == "tiny@00000000"
    assert "steering" not in Subject(tiny_lm()).fingerprint()
    assert Subject(tiny_lm(), (vector,)).steering_id == vector.id


@dataclass(frozen=True)
class Costly(Bias):
    passes_per_token: int = 3
    training_scorers = ("rtp-linear",)


def test_passes_and_training_scorers_of_all_steerings_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subject = Subject(tiny_lm(), (Costly("7", 1.0), Bias("7", 1.0), Costly("8", 1.0)))
    assert subject.passes_per_token == 5
    assert subject.training_scorers == ("rtp-linear",)
    monkeypatch.setattr(memory, "_machine_memory", lambda: 2**33)
    assert rows_that_fit(tiny_lm(), 10**5) == 41
    assert rows_that_fit(tiny_lm(), 10**5, subject.passes_per_token) == 8


def test_names_of_steerings() -> None:
    for wrong in ("nado", ":x", "nado:", "nado:@1"):
        with pytest.raises(ConfigError, match="KIND:WHAT"):
            check_steering(wrong)
    with pytest.raises(UnknownNameError, match="Did you mean 'nado'"):
        check_steering("nada:x@2")
