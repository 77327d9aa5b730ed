"""How much narrower common random numbers make the interval of a base/tuned difference.

    python benchmarks/coupling.py [--adapter RUN] [--kl 0.05] [--samples 25] [--limit 250]

The toxic fraction of a tuned model minus that of its base, paired by prompt: once with the
tuned model drawing under the base's noise (coupled), once under another seed (independent),
with as many samples. Without --adapter a small LoRA is fitted to the embedded dialogues until
it is --kl nats per token away from its base: there differences are small, and the width of
the interval decides. Printed are the widths of the 95 % BCa intervals and their ratio, by k.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from detoxlab.data import load_dialogues, load_prompts
from detoxlab.generate import LocalEngine
from detoxlab.measure.statistics import bootstrap
from detoxlab.models import LanguageModel, load_model, token_log_probs
from detoxlab.records import Generation, Prompt, Sampling
from detoxlab.scorers import Scorer, load_scorer

FloatArray = NDArray[np.float64]
THRESHOLD = 0.5
RESAMPLES = 4000
CHECK = Sampling(k=2, max_new_tokens=20, seed=99)


def generations(
    lm: LanguageModel, prompts: Sequence[Prompt], sampling: Sampling, *, chat: bool
) -> list[Generation]:
    """All samples, in the order of the prompts."""
    engine = LocalEngine(lm, chat=chat)
    rows = [row for b in engine.batches(prompts, sampling) for row in engine.generate(b, sampling)]
    place = {prompt.id: i for i, prompt in enumerate(prompts)}
    return sorted(rows, key=lambda row: (place[row.prompt_id], row.sample))


def toxic(scorer: Scorer, rows: Sequence[Generation], k: int) -> FloatArray:
    """1 where a response is toxic, (P, K); an unscored response counts as not toxic here."""
    column = scorer.attributes.index("toxicity")
    scores = scorer([row.text for row in rows])[:, column]
    return (np.nan_to_num(scores) >= THRESHOLD).astype(float).reshape(-1, k)


def divergence(
    base: LanguageModel, tuned: LanguageModel, prompts: Sequence[Prompt], chat: bool
) -> float:
    """KL(base, tuned) in nats per token, over responses that the base draws unwarped.

    `base` may be the tuned model with its adapter off.
    """
    with base.without_adapter():
        rows = generations(base, prompts, CHECK, chat=chat)
    texts = {prompt.id: prompt.text for prompt in prompts}
    asked = [base.prompt_ids(texts[row.prompt_id], chat) for row in rows]
    answers = [row.token_ids for row in rows]
    with base.without_adapter():
        before = token_log_probs(base, asked, answers)
    after = token_log_probs(tuned, asked, answers)
    return float(np.concatenate(before).mean() - np.concatenate(after).mean())


def fitted(model: str, wanted: float, prompts: Sequence[Prompt], chat: bool) -> LanguageModel:
    """The model with a LoRA adapter that is at least `wanted` nats per token from its base."""
    from peft import LoraConfig, get_peft_model

    lm = load_model(model)
    torch.manual_seed(0)
    config = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear")
    lm = replace(lm, id=f"{lm.id}+fitted@0", model=get_peft_model(lm.model, config))
    weights = [weight for weight in lm.model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=3e-4)
    pairs = [
        (lm.prompt_ids(dialogue.turns[-2].text, True), dialogue.turns[-1].text)
        for dialogue in load_dialogues("embedded").dialogues
    ]
    generator = np.random.default_rng(0)
    for step in range(1, 2001):
        batch = [pairs[i] for i in generator.choice(len(pairs), 8, replace=False)]
        loss = torch.stack([response_loss(lm, *pair) for pair in batch]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 4 == 0 and (reached := divergence(lm, lm, prompts[:64], chat)) >= wanted:
            print(f"adapter after {step} steps: {reached:.3f} nats/token on 64 prompts")
            return lm
    raise SystemExit(f"the adapter did not reach {wanted} nats per token")


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--adapter", help="a train run or adapter folder on the model")
    parser.add_argument("--kl", type=float, default=0.05)
    parser.add_argument("--prompts", default="embedded")
    parser.add_argument("--limit", type=int, default=250)
    parser.add_argument("--samples", type=int, default=25)
    parser.add_argument("--scorer", default="rtp-linear")
    parser.add_argument("--plain", action="store_true", help="continue prompts, without chat")
    options = parser.parse_args()
    chat = not options.plain
    prompts = load_prompts(options.prompts, limit=options.limit)
    if options.adapter:
        tuned = load_model(options.model, adapter=options.adapter)
    else:
        tuned = fitted(options.model, options.kl, prompts, chat)

    sampling = Sampling(k=options.samples, max_new_tokens=20, top_p=0.9, seed=0)
    scorer = load_scorer(options.scorer)
    with tuned.without_adapter():
        base_rows = generations(tuned, prompts, sampling, chat=chat)
    coupled_rows = generations(tuned, prompts, sampling, chat=chat)
    other_rows = generations(tuned, prompts, replace(sampling, seed=1), chat=chat)
    base, coupled, independent = (
        toxic(scorer, rows, sampling.k) for rows in (base_rows, coupled_rows, other_rows)
    )
    same = np.mean([a.text == b.text for a, b in zip(base_rows, coupled_rows, strict=True)])
    print(f"{len(prompts)} prompts, {scorer.id}, {'chat' if chat else 'plain'}, top-p .9, T = 1")
    print(f"KL(base, tuned): {divergence(tuned, tuned, prompts, chat):.3f} nats/token")
    print(f"toxic fraction: base {base.mean():.3f}, tuned {coupled.mean():.3f}")
    print(f"responses that stay the same word for word under coupling: {same:.0%}")
    print(f"{'k':>3s} {'independent':>12s} {'coupled':>9s} {'ratio':>6s}   (widths, 95 % BCa)")
    for k in (1, 5, 25):
        if k <= sampling.k:
            wide, narrow = mean_width(base, independent, k), mean_width(base, coupled, k)
            print(f"{k:3d} {wide:12.4f} {narrow:9.4f} {narrow / wide:6.2f}")


if __name__ == "__main__":
    main()
