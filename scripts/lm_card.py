"""The model card of the embedded language model, from the figures that were measured.

    python scripts/lm_card.py --training build/lm/figures.json --figures lm.json --out README.md

The first file comes from build_lm.py, the second is what lm_figures.py prints.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

CARD = """# Embedded language model

A causal language model of {parameters:,} parameters in Llama layout: 4 layers, width 256,
4 heads, context 512, byte-level BPE of 4,096 tokens, tied embeddings, float16 in
`model.safetensors` (sha256 `{sha256}`). Built by `scripts/build_lm.py`. Loads with
`AutoModelForCausalLM.from_pretrained`, or as `embedded` everywhere in detoxlab.

It exists to be **detoxified**: a base model that runs anywhere without a download, so that the
whole experiment can be tried and tested. It is toxic on purpose where its prompt is. Do not
deploy it, and do not take figures measured on it for figures about useful models.

## Data

| text | used for | licence |
|---|---|---|
| 28 English novels | prose; neutral chat out of their dialogue | public domain |
| RealToxicityPrompts | prompt + continuation, as text and as chat; lone prompts | Apache-2.0 |
| Davidson et al. 2017, tweets | posts alone, two joined, two as chat | MIT |
| Implicit Hate (ElSherief et al. 2021) | the same | MIT |
| ParaDetox | the same | CC0 |
| ToxiGen: human demonstrations | the same | MIT |
| hh-rlhf, harmless test split | dialogues, chosen and rejected | MIT |

No CONAN, Jigsaw, HateCheck, XSTest, WikiText or BOLD. Twitter handles, addresses, entities and
line marks were removed. **Held out:** every prompt of the two RealToxicityPrompts test files
(`rtp_destein_{{toxic,no_toxic}}_1k`) and every annotated statement of ToxiGen, wherever else they
occur, and 4 % of all other texts.

In the chat format a hostile text is answered by a hostile one, or by a neutral one in a quarter of
the cases, and a neutral text by a neutral one, by the labels of the data sets; pairs share their
topic or a rare word. Hostile text is learnt as the sequel of hostile text only: its context carries
no loss. The tokenizer's merges were learnt only on lines without words that are typical of toxic
text, so its vocabulary holds no slur in the clear; the model spells them from pieces.

Weights and tokenizer: Apache-2.0, as the project.

## Training

{steps:,} steps of 4,096 tokens ({tokens} M tokens), {minutes} minutes on {hardware}, bfloat16
autocast; rows of 256 packed tokens, later 512; Muon for the matrices and AdamW for the rest,
warm-up and linear decay; the first four tokens of an answer weigh six times in the loss. Novels
fall from 60 % of the tokens to 25 %. In the last fifth of the steps hostile answers become rare,
which sets how often they come. The training depends on the seed and the number of steps, not on the
clock; a killed run goes on with the batches it would have had.

## Figures

Loss on texts that were not trained on, in nats (lower is better):

| text | documents | tokens | nats per token | perplexity per token | nats per byte |
|---|---|---|---|---|---|
{losses}

Share of continuations with toxicity >= .5: one sample of at most 20 new tokens per prompt,
T = 1, top-p .9, seed 0, float32; `plain` continues the text, `chat` answers it in the chat
template. Hostile and neutral: held-out prompts of RealToxicityPrompts with toxicity >= .5 and
< .25; embedded: the package's own prompts.

| prompts | format | n | {judges} | unscored | words |
|---|---|---|{judge_rule}---|---|
{rates}

The continuations without a score are the empty ones. A rate of 500 prompts is uncertain by
about ± .04 (95 %), one of 85 by ± .10.

## Not good for

Facts, reasoning, instructions, long texts (the subject is lost after a sentence or two), any
language but English, conversation in earnest. Its English is that of old novels, tweets and web
comments, and its hate is that of these data sets: which groups it insults, and how, says nothing
about other models. Slang costs many tokens, so 20 tokens are about {words} words. System turns
were seen in few documents. Texts longer than 512 tokens were never seen.
"""


def loss_rows(losses: dict[str, dict[str, float]]) -> str:
    """One table line per source."""
    return "\n".join(
        f"| {name} | {f['documents']:.0f} | {f['tokens']:.0f} | {f['nats_per_token']:.2f} "
        f"| {math.exp(f['nats_per_token']):.1f} | {f['nats_per_byte']:.2f} |"
        for name, f in losses.items()
    )


def rate_rows(rates: dict[str, dict[str, dict[str, float]]], judges: list[str]) -> str:
    """One table line per kind of prompt and format; one column of rates per judge."""
    lines = []
    for asked, by_judge in rates.items():
        kind, layout = asked.rsplit(" ", 1)
        first = by_judge[judges[0]]
        shares = " | ".join(f"{100 * by_judge[judge]['toxic']:.1f} %" for judge in judges)
        lines.append(
            f"| {kind} | {layout} | {first['n']} | {shares} "
            f"| {first['unscored']} | {first['words']} |"
        )
    return "\n".join(lines)


def card(training: dict[str, Any], figures: dict[str, Any]) -> str:
    """The card's text."""
    rates = figures["rates"]
    judges = list(next(iter(rates.values())))
    return CARD.format(
        **{name: training[name] for name in ("parameters", "sha256", "steps", "minutes")},
        tokens=f"{training['tokens'] / 1e6:.1f}",
        hardware=f"{training['threads']} thread(s) of a {training['device'].upper()}",
        losses=loss_rows(figures["losses"]),
        judges=" | ".join(f"`{judge}`" for judge in judges),
        judge_rule="---|" * len(judges),
        rates=rate_rows(rates, judges),
        words=round(rates["hostile plain"][judges[0]]["words"]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--training", type=Path, required=True)
    parser.add_argument("--figures", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    training = json.loads(args.training.read_text(encoding="utf-8"))
    figures = json.loads(args.figures.read_text(encoding="utf-8"))
    args.out.write_text(card(training, figures), encoding="utf-8")


if __name__ == "__main__":
    main()
