"""Where the time of a PPO step goes, and what generation would take by a plain loop.

    python benchmarks/ppo.py [--model embedded] [--steps 5] [--prompts 64] [--tokens 20]

Steps of PPO on embedded prompts, after one to warm up. Printed are the medians over the steps
of the seconds and the share of drawing responses, scoring them, comparing policy, reference and
values (forward) and learning (update). After every step the same prompts are also answered by
transformers' `generate` in batches of `--loop-batch`, at temperature 1 and nothing cut off:
"generate loop" is its time, and the share that drawing would have with it.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from detoxlab.data import load_prompts
from detoxlab.methods.feedback.reward import Reward
from detoxlab.methods.feedback.rollout import Rollout, prompts_of_step
from detoxlab.methods.loop.borrowed import borrowed_model, quiet_libraries
from detoxlab.methods.loop.samples import SampleLog
from detoxlab.methods.ppo.config import PPOConfig
from detoxlab.methods.ppo.rollout import chunks
from detoxlab.methods.ppo.train import PPOTrainer
from detoxlab.models import LanguageModel, load_model
from detoxlab.models.likelihood import left_padded
from detoxlab.records import Prompt

PARTS = ("generate", "score", "forward", "update")


def loop_seconds(lm: LanguageModel, prompts: list[Prompt], tokens: int, batch: int) -> float:
    """Time that `generate` takes for one response to each prompt."""
    began = time.perf_counter()
    for part in chunks(prompts, batch):
        inputs = left_padded(lm, [lm.prompt_ids(prompt.text, False) for prompt in part])
        inputs.pop("position_ids", None)
        with torch.no_grad():
            lm.model.generate(
                **inputs,
                do_sample=True,
                temperature=1.0,
                top_p=1.0,
                top_k=0,
                max_new_tokens=tokens,
                pad_token_id=lm.pad_id,
            )
    if lm.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def measure(arguments: argparse.Namespace) -> tuple[list[dict[str, float]], list[float]]:
    """Per step what `PPOTrainer.step` reports, and the seconds of the plain loop."""
    lm = load_model(arguments.model)
    prompts = load_prompts("embedded")
    rollout = Rollout(prompts=arguments.prompts, max_new_tokens=arguments.tokens)
    config = PPOConfig(chat=False, rollout=rollout)
    figures, loops = [], []
    with tempfile.TemporaryDirectory() as folder, quiet_libraries(), borrowed_model(lm):
        trainer = PPOTrainer(
            config,
            lm,
            prompts,
            Reward(config.reward, asked=prompts),
            steps=arguments.steps + 1,
            folder=Path(folder),
            samples=SampleLog(Path(folder)),
        )
        for step in range(arguments.steps + 1):
            asked = prompts_of_step(prompts, step, arguments.prompts, config.seed)
            figures.append(trainer.step())
            loops.append(
                loop_seconds(trainer.policy.lm, asked, arguments.tokens, arguments.loop_batch)
            )
    return figures[1:], loops[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=20)
    parser.add_argument("--loop-batch", type=int, default=16)
    figures, loops = measure(parser.parse_args())
    totals = [sum(row[f"seconds_{part}"] for part in PARTS) for row in figures]
    for part in PARTS:
        seconds = [row[f"seconds_{part}"] for row in figures]
        shares = [one / total for one, total in zip(seconds, totals, strict=True)]
        print(f"{part:15}{statistics.median(seconds):8.3f} s {statistics.median(shares):7.1%}")
    print(f"{'step':15}{statistics.median(totals):8.3f} s")
    drawn = [row["seconds_generate"] for row in figures]
    with_loop = [
        loop / (total - ours + loop) for loop, total, ours in zip(loops, totals, drawn, strict=True)
    ]
    ratio = statistics.median(loop / ours for loop, ours in zip(loops, drawn, strict=True))
    print(
        f"{'generate loop':15}{statistics.median(loops):8.3f} s "
        f"{statistics.median(with_loop):7.1%}  {ratio:.2f} x the engine's time"
    )


if __name__ == "__main__":
    main()
