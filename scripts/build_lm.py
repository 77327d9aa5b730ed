"""Rebuild the embedded causal language model: tokenizer, training, export, in one program.

    python scripts/build_lm.py --data DIR --out src/detoxlab/assets/lm --compile

The model is a small Llama whose only purpose is to be a *base* for detoxification
experiments that run anywhere: it writes readable English and has the toxicity of its
data. A bigger build would do more: here attention is not cut between the packed
documents of a row, there is no dropout, and the learning rates of Muon (for the
matrices) and AdamW (for the rest) are customary ones, not searched for.

The training depends on the seed and the number of steps, never on the clock. A killed run goes
on from its last checkpoint in `--work`, with the batches it would have had.
"""

import argparse
import hashlib
import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from lm_corpus import CONTEXT_END, END, PAD, ROLES, closing, load_sources
from lm_packing import BATCH_TOKENS, CONTEXT_BIT, Batches, prepare
from lm_texts import clean_lines
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM

VOCABULARY = 4096
CONTEXT = 256
LONG_CONTEXT = 512  # at the end, so that positions up to here have been seen
STEPS = 4500
LONG_FROM, CLOSING_FROM = 0.8, 0.8  # shares of the steps
SAVE_EVERY = 100  # steps
ASSISTANT_ID = 4  # the tokenizer's fifth special token
OPENING_TOKENS, OPENING_WEIGHT = 4, 6.0
WARMUP, DECAY_FROM = 0.02, 0.3  # shares of the steps
MATRIX_RATE, OTHER_RATE = 6e-3, 4e-3
PROSE_SHARE = (0.60, 0.25)  # share of the tokens that is novels, at the start and the end

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] | trim + eos_token }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def model_config() -> LlamaConfig:
    """Llama, 4.2 M parameters, tied embeddings."""
    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=LONG_CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=1,
    )


# --- tokenizer ---------------------------------------------------------------------


def train_tokenizer(data: Path) -> Tokenizer:
    """Byte-level BPE of 4,096 tokens; its merges come from lines without toxic words."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END, PAD, *ROLES.values()],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(clean_lines(data), trainer)
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, out: Path) -> None:
    """tokenizer.json, and tokenizer_config.json with the chat template in it.

    Written by hand: what `save_pretrained` of transformers 5 writes, older versions cannot read.
    """
    tokenizer.save(str(out / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": PAD,
        "additional_special_tokens": list(ROLES.values()),
        "model_max_length": LONG_CONTEXT,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")


# --- training ----------------------------------------------------------------------


@dataclass
class Progress:
    """What a checkpoint knows besides the weights."""

    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)


def rate(share: float) -> float:
    """Learning-rate multiplier at a share of the steps: rise, hold, then fall linearly to 0."""
    return min(1.0, (share + 1e-3) / WARMUP, max(0.0, (1 - share) / (1 - DECAY_FROM)))


def optimizers(model: LlamaForCausalLM) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for embeddings and norms."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    known = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in known]
    return [
        torch.optim.Muon(
            matrices, lr=MATRIX_RATE, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def token_losses(model: LlamaForCausalLM, ids_BT: torch.Tensor) -> torch.Tensor:
    """Negative log-likelihood in nats of tokens 2..T of each row, flat: (B * (T - 1),)."""
    with torch.autocast(ids_BT.device.type, dtype=torch.bfloat16):
        logits_BTV = model(input_ids=ids_BT, use_cache=False).logits
    return cross_entropy(
        logits_BTV[:, :-1].flatten(0, 1).float(), ids_BT[:, 1:].flatten(), reduction="none"
    )


def token_weights(ids_BT: torch.Tensor) -> torch.Tensor:
    """Weight of the loss of tokens 2..T: (B, T - 1). Context weighs nothing.

    The first four tokens of an answer weigh more: there it is decided whether the answer is of
    the prompt's class, and over the whole answer that decision is a hundredth of the loss.
    """
    learnt_BT = (ids_BT < CONTEXT_BIT).float()
    weights_BT = learnt_BT.clone()
    begins_BT = ((ids_BT & ~CONTEXT_BIT) == ASSISTANT_ID).float()
    for shift in range(1, OPENING_TOKENS + 1):
        weights_BT[:, shift:] += (OPENING_WEIGHT - 1) * begins_BT[:, :-shift]
    return (weights_BT * learnt_BT)[:, 1:]


class Trainer:
    """The model and its optimizers, with one file to resume from."""

    def __init__(self, work: Path, device: str, seed: int, compile_loss: bool) -> None:
        torch.manual_seed(seed)
        self.model = LlamaForCausalLM(model_config()).to(device)
        self.optimizers = optimizers(self.model)
        self.base_rates = [o.param_groups[0]["lr"] for o in self.optimizers]
        self.losses = torch.compile(token_losses, dynamic=False) if compile_loss else token_losses
        self.progress = Progress()
        self.device = device
        self.file = work / "checkpoint.pt"

    def step(self, ids_BT: torch.Tensor, share: float) -> float:
        """Mean loss in nats per token of one optimizer step."""
        losses = self.losses(self.model, (ids_BT & ~CONTEXT_BIT).to(self.device))
        weights = token_weights(ids_BT).flatten().to(self.device)
        loss = (losses * weights).sum() / weights.sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer, base in zip(self.optimizers, self.base_rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = base * rate(share)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    def save(self) -> None:
        """Write the checkpoint; a kill during it leaves the one before."""
        state = {
            "model": self.model.state_dict(),
            "optimizers": [o.state_dict() for o in self.optimizers],
            "progress": asdict(self.progress),
        }
        torch.save(state, self.file.with_suffix(".new"))
        self.file.with_suffix(".new").replace(self.file)

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one."""
        if not self.file.exists():
            return
        state = torch.load(self.file, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.progress = Progress(**state["progress"])


def batch_at(step: int, steps: int, batches: Batches, closing_batches: Batches) -> torch.Tensor:
    """The next batch of the stream that the step reads from."""
    share = step / steps
    first, last = PROSE_SHARE
    length = CONTEXT if share < LONG_FROM else LONG_CONTEXT
    source = batches if share < CLOSING_FROM else closing_batches
    return source.batch(length, first + (last - first) * share)


def train(trainer: Trainer, batches: Batches, closing_batches: Batches, steps: int) -> None:
    """Train to the end of the schedule, over all the runs it takes."""
    progress = trainer.progress
    for step in range(progress.step):  # a resumed run: the batches that were already seen
        batch_at(step, steps, batches, closing_batches)
    mark = time.monotonic()
    while progress.step < steps:
        batch = batch_at(progress.step, steps, batches, closing_batches)
        progress.losses.append(trainer.step(batch, progress.step / steps))
        progress.step += 1
        now = time.monotonic()
        progress.seconds, mark = progress.seconds + now - mark, now
        if progress.step % 50 == 0:
            recent = float(np.mean(progress.losses[-50:]))
            left = progress.seconds / progress.step * (steps - progress.step) / 60
            done = f"step {progress.step} of {steps}: loss {recent:.3f} nats/token"
            print(f"{done}, {left:.0f} min left", flush=True)
        if progress.step % SAVE_EVERY == 0 or progress.step == steps:
            trainer.save()


# --- export ------------------------------------------------------------------------


def mean_loss(
    model: LlamaForCausalLM, tokenizer: Tokenizer, documents: list[str]
) -> dict[str, float]:
    """Nats per token and per byte over the documents; lower is better.

    The first token of a document has nothing before it and is not counted; the bytes are
    those of the tokens that are counted.
    """
    nats, tokens, size = 0.0, 0, 0
    for document in documents:
        ids = tokenizer.encode(document.replace(CONTEXT_END, "")).ids[:LONG_CONTEXT]
        with torch.inference_mode():
            row = torch.tensor([ids], device=model.device)
            nats += float(token_losses(model, row).sum())
        tokens += len(ids) - 1
        size += len(tokenizer.decode(ids[1:]).encode())
    return {
        "documents": len(documents),
        "tokens": tokens,
        "nats_per_token": round(nats / max(tokens, 1), 4),
        "nats_per_byte": round(nats / max(size, 1), 4),
    }


def export(model: LlamaForCausalLM, tokenizer: Tokenizer, out: Path) -> None:
    """Weights in float16, configuration and tokenizer, in Hugging Face layout."""
    weights = LlamaForCausalLM(model.config).half()
    weights.load_state_dict(model.state_dict())
    config = weights.generation_config
    config.do_sample, config.temperature, config.top_p = True, 1.0, 0.9
    weights.save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)
    save_tokenizer(tokenizer, out)


def tokenizer_for(data: Path, work: Path) -> Tokenizer:
    """The tokenizer of this build, trained once and kept in `work`."""
    path = work / "tokenizer.json"
    if not path.exists():
        train_tokenizer(data).save(str(path))
    return Tokenizer.from_file(str(path))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path, required=True, help="folder of the finished model")
    parser.add_argument("--work", type=Path, default=Path("build/lm"), help="checkpoint folder")
    parser.add_argument("--steps", type=int, default=STEPS, help="of 4,096 tokens each")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compile", action="store_true", help="needs a C++ compiler; 1.2 x faster")
    parser.add_argument("--export-only", action="store_true", help="export the checkpoint as it is")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    device = args.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    args.work.mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizer_for(args.data, args.work)
    training = load_sources(args.data, args.seed)
    validation = load_sources(args.data, args.seed, validation=True)
    trainer = Trainer(args.work, device, args.seed, args.compile)
    trainer.resume()
    if not args.export_only:
        mixes = [
            prepare(tokenizer, sources, args.seed) for sources in (training, closing(training))
        ]
        train(trainer, *mixes, steps=args.steps)
    model = trainer.model.eval()
    export(model, tokenizer, args.out)
    figures = {
        "parameters": model.num_parameters(),
        "sha256": hashlib.sha256((args.out / "model.safetensors").read_bytes()).hexdigest(),
        "steps": trainer.progress.step,
        "tokens": trainer.progress.step * BATCH_TOKENS,
        "minutes": round(trainer.progress.seconds / 60, 1),
        "threads": args.threads,
        "device": device,
        "validation": {s.name: mean_loss(model, tokenizer, s.documents[:200]) for s in validation},
    }
    (args.work / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
