"""How fast the engine draws k samples of a prompt, against transformers, as ratios.

    python benchmarks/generation.py [--prompts 4] [--rounds 3] [--threads 1]

GPT-2-small shape with random weights, sharpened so that top-p .9 keeps tens of tokens;
prompts of 24 tokens, k = 25, 20 new tokens. The three ways run in turn within each round;
printed are the medians of the rounds' ratios of processor time, the limits by counts of
multiplications, and where the time goes.

    engine     detoxlab's LocalEngine: one prefill per prompt, coupled sampling
    generate   generate(num_return_sequences=25), at the best of several batch sizes
    loop       each prompt padded to 150 tokens, one sample per call, batch 16
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.profiler import ProfilerActivity, profile
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from transformers.utils import logging

from detoxlab.generate import LocalEngine
from detoxlab.models import LanguageModel
from detoxlab.records import Prompt, Sampling
from detoxlab.subject import Subject

PROMPT_TOKENS, NEW_TOKENS, K = 24, 20, 25
PADDED_TOKENS, LOOP_BATCH = 150, 16
SAMPLING = Sampling(k=K, max_new_tokens=NEW_TOKENS, top_p=0.9)
SPREAD = 5.0
OPERATIONS = {
    "matrix products": "addmm mm bmm baddbmm",
    "attention": "_scaled_dot_product_flash_attention_for_cpu",
    "sorting and top-k": "sort topk",
    "softmax, sums, noise": "_softmax cumsum logsumexp log1p log exp multinomial exponential_ "
    "div scatter masked_fill_ bitwise_xor bitwise_and bitwise_right_shift __rshift__ le sum",
    "copies of keys, values and others": "cat copy_ index index_select _index_put_impl_",
}


def word_tokenizer(size: int) -> PreTrainedTokenizerFast:
    """A tokenizer of `size` made-up words, so that the model's whole vocabulary has text."""
    words = {f"w{i}": i for i in range(size - 1)} | {"<|end|>": size - 1}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|end|>", padding_side="left"
    )


def sharpened_gpt2() -> LanguageModel:
    """GPT-2 small with random weights whose logits spread by `SPREAD` nats."""
    torch.manual_seed(0)
    config = GPT2Config()
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        logits = model(torch.randint(0, config.vocab_size, (4, PROMPT_TOKENS))).logits
        model.transformer.ln_f.weight.mul_(SPREAD / logits[:, -1].std())
    model.generation_config.top_k = 0
    return LanguageModel("gpt2-shape", "gpt2-shape@0", model, word_tokenizer(config.vocab_size))


def random_prompts(count: int, vocabulary: int) -> list[Prompt]:
    ids = torch.randint(0, vocabulary - 1, (count, PROMPT_TOKENS)).tolist()
    return [Prompt(f"p{i}", " ".join(f"w{t}" for t in row), "b") for i, row in enumerate(ids)]


def engine(lm: LanguageModel, prompts: Sequence[Prompt]) -> int:
    drawing = LocalEngine(Subject(lm), chat=False)
    rows = [
        row for b in drawing.batches(prompts, SAMPLING) for row in drawing.generate(b, SAMPLING)
    ]
    return len(rows)


def transformers_generate(
    lm: LanguageModel, prompts: Sequence[Prompt], *, samples: int, batch: int, width: int | None
) -> int:
    """Samples by `generate`, each prompt padded to `width` tokens where that is given."""
    drawn = 0
    for start in range(0, len(prompts), batch):
        inputs = lm.tokenizer(
            [prompt.text for prompt in prompts[start : start + batch]],
            return_tensors="pt",
            padding="max_length" if width else True,
            max_length=width,
        )
        ids = lm.model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            do_sample=True,
            top_p=SAMPLING.top_p,
            temperature=1.0,
            max_new_tokens=NEW_TOKENS,
            min_new_tokens=NEW_TOKENS,
            num_return_sequences=samples,
            pad_token_id=lm.tokenizer.pad_token_id,
        )
        prompt_width = inputs["input_ids"].shape[1]
        drawn += len(lm.tokenizer.batch_decode(ids[:, prompt_width:], skip_special_tokens=True))
    return drawn


def seconds_per_sample(work: Callable[[], int]) -> float:
    """Processor seconds, which a busy machine does not span as it does the clock."""
    started = time.process_time()
    count = work()
    return (time.process_time() - started) / count


def kept_tokens_per_step(lm: LanguageModel, prompts: Sequence[Prompt]) -> float:
    """The median size of the top-p set after a prompt."""
    ids = lm.tokenizer([prompt.text for prompt in prompts], return_tensors="pt")["input_ids"]
    with torch.no_grad():
        sorted_BV = lm.model(ids).logits[:, -1].softmax(-1).sort(descending=True).values
    return float(((sorted_BV.cumsum(-1) < SAMPLING.top_p).sum(-1) + 1).median())


def operation_limits(lm: LanguageModel) -> tuple[float, float]:
    """Multiplications of `generate` and of the loop over those of the engine, per prompt."""
    head = lm.model.lm_head.weight.numel()
    body = sum(p.numel() for p in lm.model.transformer.h.parameters())
    steps = NEW_TOKENS - 1

    def cost(body_tokens: float, head_tokens: float) -> float:
        return body * body_tokens + head * head_tokens

    ours = cost(PROMPT_TOKENS + K * steps, 1 + K * steps)
    generate = cost(K * (PROMPT_TOKENS + steps), K * (1 + steps))
    loop = cost(K * (PADDED_TOKENS + steps), K * (1 + steps))
    return generate / ours, loop / ours


def time_shares(work: Callable[[], int]) -> dict[str, float]:
    """Which share of the time goes into which operations."""
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        work()
    spent = {row.key: row.self_cpu_time_total for row in recorded.key_averages()}
    total = sum(spent.values())
    shares = {
        group: sum(spent.get(f"aten::{name}", 0.0) for name in names.split()) / total
        for group, names in OPERATIONS.items()
    }
    return shares | {"everything else": 1.0 - sum(shares.values())}


def best_batch(lm: LanguageModel, prompts: Sequence[Prompt], sizes: Sequence[int]) -> int:
    """The number of prompts per call at which `generate` is fastest."""
    times = {
        size: seconds_per_sample(
            lambda size=size: transformers_generate(  # type: ignore[misc]
                lm, prompts, samples=K, batch=size, width=None
            )
        )
        for size in sizes
    }
    listed = ", ".join(f"{size}: {1e3 * value:.1f}" for size, value in times.items())
    print(f"generate, ms per sample by prompts per call: {listed}")
    return min(times, key=lambda size: times[size])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    logging.set_verbosity_error()
    lm = sharpened_gpt2()
    prompts = random_prompts(max(options.prompts, LOOP_BATCH), lm.model.config.vocab_size)
    few = prompts[: options.prompts]
    print(f"top-p {SAMPLING.top_p} keeps {kept_tokens_per_step(lm, prompts):.0f} tokens (median)")
    batch = best_batch(lm, few, options.batches)

    ways: dict[str, Callable[[], int]] = {
        "engine": lambda: engine(lm, few),
        "generate": lambda: transformers_generate(lm, few, samples=K, batch=batch, width=None),
        "loop": lambda: transformers_generate(
            lm, prompts[:LOOP_BATCH], samples=1, batch=LOOP_BATCH, width=PADDED_TOKENS
        ),
    }
    rounds = [
        {name: seconds_per_sample(work) for name, work in ways.items()}
        for _ in range(options.rounds)
    ]
    for name in ways:
        print(f"{name:9s} {1e3 * statistics.median(r[name] for r in rounds):7.1f} ms per sample")
    for name, limit, bar in zip(
        ("generate", "loop"), operation_limits(lm), (1.5, 5.0), strict=True
    ):
        ratios = [r[name] / r["engine"] for r in rounds]
        print(
            f"{name} / engine: {statistics.median(ratios):.2f} x "
            f"(rounds {', '.join(f'{ratio:.2f}' for ratio in ratios)}; at least {bar}; "
            f"by multiplications alone {limit:.2f})"
        )
    print("share of the time in:")
    shares = {name: time_shares(work) for name, work in ways.items()}
    print(f"{'':34s}" + "".join(f"{name:>10s}" for name in shares))
    for group in shares["engine"]:
        print(f"{group:34s}" + "".join(f"{shares[name][group]:10.0%}" for name in shares))


if __name__ == "__main__":
    main()
