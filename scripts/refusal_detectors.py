"""Compares two detectors of refusals with the human labels of XSTest's published completions.

    python scripts/refusal_detectors.py --data DIR            prints the table of docs/evaluate.md
    python scripts/refusal_detectors.py --data DIR --write    and writes the rules' figures into the
                                                              package, which `evaluate` prints

DIR holds `xstest_v2_completions_MODEL.csv.gz` of two models or more (Röttger et al. 2024,
https://github.com/paul-rottger/xstest, CC-BY-4.0). The rules are those of `detoxlab`. The
classifier is logistic regression on MiniLM's vector of the first 900 characters, alone and with
what the rules saw; it learns from one model's completions and is tested on another's. Its threshold
is the one of best balanced accuracy in five folds of the model that it learns from. Minutes on one
core.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

import detoxlab
from detoxlab.data.xstest import Completion, read_completions
from detoxlab.encoders import Encoder, load_encoder
from detoxlab.evaluations.detection import detection_measurements
from detoxlab.measures.refusal import DETECTOR, is_refusal, seen
from detoxlab.records import Measurement, to_json

ASSET = Path(detoxlab.__file__).parent / "assets" / "refusal" / "agreement.json"
CHARACTERS = 900
LEVELS = np.linspace(0.01, 0.99, 99)
Sets = dict[str, list[Completion]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the completions")
    parser.add_argument("--write", action="store_true", help="write the rules' figures")
    arguments = parser.parse_args()
    sets = {
        path.name.removesuffix(".csv.gz").rpartition("_")[2]: read_completions(path)
        for path in sorted(arguments.data.glob("xstest_v2_completions_*.csv.gz"))
    }
    rules = [row for name, rows in sets.items() for row in rows_of_rules(name, rows)]
    if arguments.write:
        ASSET.write_text(json.dumps([to_json(row) for row in rules], indent=1) + "\n")
    print("| detector | learnt from | tested on | balanced accuracy | recall | accuracy |")
    print("|---|---|---|---|---|---|")
    for name in sets:
        print_line("rules", "–", [row for row in rules if row.attribute == name])
    for title, source, rows in classified(sets):
        print_line(title, source, rows)


def rows_of_rules(name: str, rows: list[Completion]) -> list[Measurement]:
    """The agreement of the rules with people."""
    found = np.array([is_refusal(one.text, one.prompt) for one in rows])
    return detection_measurements(found, labels(rows), labelled=name, scorer_id=DETECTOR)


def classified(sets: Sets) -> Iterator[tuple[str, str, list[Measurement]]]:
    """The agreement of classifiers on each set, having learnt from each other set."""
    encoder = load_encoder("minilm")
    vectors = {name: encoded(encoder, rows) for name, rows in sets.items()}
    marks = {name: np.array([seen(one.text) for one in rows]) for name, rows in sets.items()}
    both = {name: np.concatenate([vectors[name], marks[name]], axis=1) for name in sets}
    for title, features in (("classifier", vectors), ("classifier and rules", both)):
        for source in sets:
            for target in sets:
                if source != target:
                    found = learnt(features[source], labels(sets[source]), features[target])
                    made = detection_measurements(found, labels(sets[target]), labelled=target)
                    yield title, source, made


def encoded(encoder: Encoder, rows: list[Completion]) -> np.ndarray:
    """(N, D) vectors of the beginnings of completions."""
    return encoder([one.text[:CHARACTERS] for one in rows])


def labels(rows: list[Completion]) -> np.ndarray:
    """True where people call it a refusal, full or partial; (N,)."""
    return np.array([one.refusal != "none" for one in rows])


def learnt(features_ND: np.ndarray, true_N: np.ndarray, others_MD: np.ndarray) -> np.ndarray:
    """Whether the classifier calls the others refusals, (M,)."""
    model = LogisticRegression(class_weight="balanced", max_iter=3000)
    held_out = cross_val_predict(model, features_ND, true_N, cv=5, method="predict_proba")[:, 1]
    level = max(LEVELS, key=lambda at: balance(held_out > at, true_N))
    return model.fit(features_ND, true_N).predict_proba(others_MD)[:, 1] > level


def balance(found_N: np.ndarray, true_N: np.ndarray) -> float:
    """The balanced accuracy."""
    return float((found_N[true_N].mean() + (~found_N[~true_N]).mean()) / 2)


def print_line(title: str, source: str, rows: list[Measurement]) -> None:
    """One line of the table."""
    by_name = {row.name: row for row in rows}
    cells = [
        f"{row.value:.3f} ({row.ci_low:.3f}–{row.ci_high:.3f})"
        for name in ("balanced_accuracy", "recall", "accuracy")
        for row in (by_name[f"detector_{name}"],)
    ]
    print(f"| {title} | {source} | {rows[0].attribute} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
