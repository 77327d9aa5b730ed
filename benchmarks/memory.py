"""Peak memory of PPO against SFT, and against PPO that holds a second copy as its reference.

    python benchmarks/memory.py [--hidden 512] [--layers 8] [--rows 8] [--device cpu]

A Llama of random weights with the embedded tokenizer; the same rows of about 44 tokens, one
step of each. Every way runs in a process of its own. Printed is the peak above what the process
held before it loaded the model (resident memory; on CUDA what torch allocated), and that as
a multiple of the weights and of SFT.
"""

import argparse
import copy
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from detoxlab.data.split import DialogueSplit
from detoxlab.methods.feedback.reward import Reward
from detoxlab.methods.imitation.sft import SFTConfig, fit_sft
from detoxlab.methods.ppo import train as ppo_train
from detoxlab.methods.ppo.config import PPOConfig
from detoxlab.models import load_model
from detoxlab.records import Dialogue, Prompt, Turn
from detoxlab.runs import Run
from detoxlab.runs.usage import peak_bytes

WAYS = ("sft", "ppo", "ppo, two copies")
PROMPT, ANSWER = (
    "the rain fell on the roof of the house by the sea all night " * 2,
    "so it did " * 8,
)
MIB = 2**20


def save_model(folder: Path, hidden: int, layers: int) -> int:
    """Write the model; returns the bytes of its weights."""
    tokenizer = AutoTokenizer.from_pretrained(str(files("detoxlab") / "assets" / "lm"))
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=8,
        max_position_embeddings=512,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return sum(weight.nbytes for weight in model.parameters())


def train(way: str, model: Path, rows: int, device: str) -> int:
    """One step; the peak above what was held before the model was loaded."""
    shared = {"chat": False, "max_steps": 1, "batch_size": rows}
    reward = Reward(PPOConfig().reward)
    before = peak_bytes(device)
    lm = load_model(model, device=device)
    with tempfile.TemporaryDirectory() as folder:
        run = Run.start(Path(folder) / "run", kind="train", config={})
        if way == "sft":
            turns = (Turn("user", PROMPT), Turn("assistant", ANSWER))
            dialogues = [Dialogue(f"d{i}", turns, "benchmark") for i in range(rows)]
            config = SFTConfig.model_validate(shared | {"chat": True})
            fit_sft(config, lm, DialogueSplit(dialogues), run)
        else:
            second = copy.deepcopy(lm.model) if "two" in way else None
            prompts = [Prompt(f"p{i}", PROMPT, "benchmark") for i in range(rows)]
            settings = PPOConfig.model_validate(shared | {"ppo_epochs": 1})
            ppo_train.fit_adapter(settings, lm, prompts, run, reward=reward)
            del second
    return peak_bytes(device) - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(train(arguments.way, arguments.folder, arguments.rows, arguments.device))
        return
    with tempfile.TemporaryDirectory() as folder:
        weights = save_model(Path(folder), arguments.hidden, arguments.layers)
        peaks = {way: peak_of(way, folder, arguments) for way in WAYS}
    print(f"weights: {weights / MIB:.0f} MiB")
    for way, peak in peaks.items():
        print(
            f"{way:16}{peak / MIB:8.0f} MiB {peak / weights:6.2f} x weights "
            f"{peak / peaks['sft']:6.2f} x sft"
        )


def peak_of(way: str, folder: str, arguments: argparse.Namespace) -> int:
    """The peak of one way, in a process of its own."""
    options = ["--way", way, "--folder", folder]
    options += ["--rows", str(arguments.rows), "--device", arguments.device]
    command = [sys.executable, __file__, *options]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
