"""The side of Inseq in `attribution.py --inseq`, in an environment of its own.

    python -m venv DIR && DIR/bin/pip install inseq==0.7.1
    python benchmarks/attribution.py --inseq DIR/bin/python

Reads a model, a tokenizer whose texts are ids, and exchanges from a folder; writes the scores of
every step, summed as ours are, and prints seconds of processor time per step. Inseq explains texts
that are given one at a time ("Batched constrained decoding is currently not supported"), so a
batch size of 1 is its best and its only one.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import inseq
import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

METHODS = {"input-x-gradient": "input_x_gradient", "integrated-gradients": "integrated_gradients"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("--points", type=int)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    model = inseq.load_model(
        AutoModelForCausalLM.from_pretrained(asked.folder).eval(),
        METHODS[asked.method],
        tokenizer=AutoTokenizer.from_pretrained(asked.folder),
        device="cpu",
    )
    options = {"n_steps": asked.points} if asked.points else {}
    exchanges = json.loads((asked.folder / "exchanges.json").read_text())
    explained(model, exchanges[0][0][:5], exchanges[0][1][:2], options)
    started = time.process_time()
    found = [explained(model, prompt, response, options) for prompt, response in exchanges]
    seconds = time.process_time() - started
    parts = {str(at): summed(one, asked.method) for at, one in enumerate(found)}
    np.savez(asked.folder / f"{asked.method}.npz", **parts)
    print(json.dumps(seconds / sum(len(response) for _, response in exchanges)))


def explained(model: Any, prompt: list[int], response: list[int], options: dict[str, Any]) -> Any:
    """Attributions (tokens, steps, D) of one exchange."""
    texts = [" ".join(f"t{token}" for token in ids) for ids in (prompt, prompt + response)]
    out = model.attribute(
        *texts,
        attributed_fn="logit",
        attr_pos_start=len(prompt),
        show_progress=False,
        **options,
    )
    return out.sequence_attributions[0].target_attributions


def summed(values_TSD: torch.Tensor, method: str) -> Any:
    """One number per step and token before it (S, T)."""
    values_STD = values_TSD.nan_to_num().transpose(0, 1)
    if method == "input-x-gradient":
        return values_STD.square().sum(-1).sqrt().detach().numpy()
    return values_STD.sum(-1).detach().numpy()


if __name__ == "__main__":
    main()
