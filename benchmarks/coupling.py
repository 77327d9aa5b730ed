"""How much narrower common random numbers make the interval of a base/tuned difference.

    python benchmarks/coupling.py [--adapter RUN] [--kl 0.02 0.05 0.1] [--samples 25] [--limit 250]

The toxic fraction of a tuned model minus that of its base, paired by prompt: once with the
tuned model drawing under the base's noise (coupled), once under another seed (independent),
with as many samples. Without --adapter a small LoRA is fitted to the embedded dialogues and
looked at whenever it is --kl nats per token away from its base: there differences are small,
and the width of the interval decides. Printed are the widths of the 95 % BCa intervals and
their ratio, by k.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from detoxlab.data import load_dialogues, load_prompts
from detoxlab.generate import LocalEngine
from detoxlab.measures.statistics import bootstrap
from detoxlab.models import LanguageModel, load_model, token_log_probs
from detoxlab.records import Generation, Prompt, Sampling
from detoxlab.scorers import Scorer, load_scorer
from detoxlab.subject import Subject

FloatArray = NDArray[np.float64]
THRESHOLD = 0.5
RESAMPLES = 4000
CHECK = Sampling(k=2, max_new_tokens=20, seed=99)


def generations(
    lm: LanguageModel, prompts: Sequence[Prompt], sampling: Sampling, *, chat: bool
) -> list[Generation]:
    """All samples, in the order of the prompts."""
    engine = LocalEngine(Subject(lm), chat=chat)
    rows = [row for b in engine.batches(prompts, sampling) for row in engine.generate(b, sampling)]
    place = {prompt.id: i for i, prompt in enumerate(prompts)}
    return sorted(rows, key=lambda row: (place[row.prompt_id], row.sample))


def toxic(scorer: Scorer, rows: Sequence[Generation], k: int) -> FloatArray:
    """1 where a response is toxic, (P, K); an unscored response counts as not toxic here."""
    column = scorer.attributes.index("toxicity")
    scores = scorer([row.text for row in rows])[:, column]
    return (np.nan_to_num(scores) >= THRESHOLD).astype(float).reshape(-1, k)


class Divergence:
    """KL(base, tuned) in nats per token, over responses that the base draws unwarped."""

    def __init__(self, lm: LanguageModel, prompts: Sequence[Prompt], chat: bool) -> None:
        texts = {prompt.id: prompt.text for prompt in prompts}
        with lm.as_base():
            rows = generations(lm, prompts, CHECK, chat=chat)
            self.asked = [lm.prompt_ids(texts[row.prompt_id], chat) for row in rows]
            self.answers = [row.token_ids for row in rows]
            self.before = self._mean(lm)

    def __call__(self, tuned: LanguageModel) -> float:
        return self.before - self._mean(tuned)

    def _mean(self, lm: LanguageModel) -> float:
        values = token_log_probs(lm, self.asked, self.answers)
        return float(np.concatenate(values).mean())


def with_adapter(model: str) -> LanguageModel:
    """The model with a LoRA adapter that changes nothing yet."""
    from peft import LoraConfig, get_peft_model

    lm = load_model(model)
    torch.manual_seed(0)
    config = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear")
    return replace(lm, id=f"{lm.id}+fitted@0", model=get_peft_model(lm.model, config))


def fit(lm: LanguageModel, divergence: Divergence, targets: Sequence[float]) -> Iterator[float]:
    """Train the adapter; yields its divergence whenever it has passed another target."""
    weights = [weight for weight in lm.model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=2e-4)
    pairs = [
        (lm.prompt_ids(dialogue.turns[-2].text, chat=True), dialogue.turns[-1].text)
        for dialogue in load_dialogues("embedded").dialogues
    ]
    generator, left = np.random.default_rng(0), sorted(targets)
    while left:
        batch = [pairs[i] for i in generator.choice(len(pairs), 8, replace=False)]
        loss = torch.stack([response_loss(lm, *pair) for pair in batch]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (reached := divergence(lm)) >= left[0]:
            left = [target for target in left if target > reached]
            yield reached


def response_loss(lm: LanguageModel, asked: list[int], answer: str) -> torch.Tensor:
    ids = lm.tokenizer(answer, add_special_tokens=False).input_ids
    ids = [*ids, lm.tokenizer.eos_token_id]
    ids_BT = torch.tensor([asked + ids])
    labels_BT = torch.tensor([[-100] * len(asked) + ids])
    loss: torch.Tensor = lm.model(ids_BT, labels=labels_BT).loss
    return loss


def width(base_PK: FloatArray, tuned_PK: FloatArray) -> float:
    """Width of the paired interval of the difference in toxic fraction."""
    columns_PS = np.stack([(tuned_PK - base_PK).mean(axis=1), np.ones(len(base_PK))], axis=1)
    interval = bootstrap(columns_PS, resamples=RESAMPLES)
    if interval is None:
        raise SystemExit("no interval: give more prompts")
    return interval.high - interval.low


def mean_width(base_PK: FloatArray, tuned_PK: FloatArray, k: int) -> float:
    """Mean width over disjoint sets of k of the samples: one set alone would say little."""
    starts = range(0, base_PK.shape[1] - k + 1, k)
    return float(np.mean([width(base_PK[:, s : s + k], tuned_PK[:, s : s + k]) for s in starts]))


@dataclass(frozen=True)
class Bench:
    """What is held fixed while adapters change."""

    prompts: Sequence[Prompt]
    sampling: Sampling
    scorer: Scorer
    chat: bool

    def toxic(self, lm: LanguageModel, seed: int = 0) -> FloatArray:
        sampling = replace(self.sampling, seed=seed)
        rows = generations(lm, self.prompts, sampling, chat=self.chat)
        return toxic(self.scorer, rows, sampling.k)

    def report(self, base_PK: FloatArray, tuned: LanguageModel, divergence: float) -> None:
        coupled_PK, independent_PK = self.toxic(tuned), self.toxic(tuned, seed=1)
        for k in (k for k in (1, 5, 25) if k <= self.sampling.k):
            wide, narrow = (
                mean_width(base_PK, independent_PK, k),
                mean_width(base_PK, coupled_PK, k),
            )
            print(
                f"{divergence:10.3f} {base_PK.mean():6.3f} {coupled_PK.mean():6.3f} {k:3d} "
                f"{wide:12.4f} {narrow:8.4f} {narrow / wide:6.2f}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--adapter", help="a train run or adapter folder on the model")
    parser.add_argument("--kl", type=float, nargs="+", default=[0.02, 0.05, 0.1])
    parser.add_argument("--prompts", default="embedded")
    parser.add_argument("--limit", type=int, default=250)
    parser.add_argument("--samples", type=int, default=25)
    parser.add_argument("--scorer", default="rtp-linear")
    parser.add_argument("--plain", action="store_true", help="continue prompts, without chat")
    options = parser.parse_args()
    chat = not options.plain
    sampling = Sampling(k=options.samples, max_new_tokens=20, top_p=0.9)
    prompts = load_prompts(options.prompts, limit=options.limit)
    bench = Bench(prompts, sampling, load_scorer(options.scorer), chat)
    if options.adapter:
        lm = load_model(options.model, adapter=options.adapter)
    else:
        lm = with_adapter(options.model)
    divergence = Divergence(lm, prompts, chat)
    with lm.as_base():
        base_PK = bench.toxic(lm)
    print(f"{lm.id}, {len(prompts)} prompts, {bench.scorer.id}, {'chat' if chat else 'plain'}")
    print("nats/token   base  tuned   k  independent  coupled  ratio   (widths, 95 % BCa)")
    if options.adapter:
        bench.report(base_PK, lm, divergence(lm))
    else:
        for reached in fit(lm, divergence, options.kl):
            bench.report(base_PK, lm, reached)


if __name__ == "__main__":
    main()
