"""Small benchmark files of our own, in the layouts that benchmarks are read in."""

import gzip
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from detoxlab.evaluations.benchmark import SUITES

SUBJECTS = [name.removeprefix("mmlu_") for name in SUITES["mmlu"].tasks]
QUESTIONS = 6


def write_requests(file: Path, docs: Iterable[Mapping[str, Any]]) -> Path:
    """A gzipped file of log-likelihood requests, and for each document one without the question."""
    lines = []
    for offset in (0, 1_000_000):
        for at, doc in enumerate(docs):
            for answer in doc.get("choices", ["?"]):
                request = {"context": doc.get("query", ""), "continuation": f" {answer}"}
                lines.append({"doc": doc, "request": request, "doc_id": at + offset})
    file.write_bytes(gzip.compress("".join(json.dumps(one) + "\n" for one in lines).encode()))
    return file


def write_mmlu(file: Path, questions: int = 3, subjects: Sequence[str] = SUBJECTS) -> Path:
    """An archive of all subjects with five examples and some questions each."""
    header = "question,choice0,choice1,choice2,choice3,answer\n"
    with tarfile.open(file, "w:gz") as packed:
        for subject in subjects:
            for split, count in (("dev", 5), ("test", questions)):
                rows = "".join(f'"{subject}, {at}?",a,b,c,d,{at % 4}\n' for at in range(count))
                data = (header + rows).encode()
                member = tarfile.TarInfo(f"{split}/{subject}_{split}.csv")
                member.size = len(data)
                packed.addfile(member, io.BytesIO(data))
    return file


def benchmark_files(folder: Path) -> Path:
    """Files of every benchmark that is read from files, with a few harmless questions each."""
    numbers = range(QUESTIONS)
    science = [
        {
            "query": f"Question: What is {at}?\nAnswer:",
            "choices": ["no", "a number", "it"],
            "gold": 1,
        }
        for at in numbers
    ]
    goals = [
        {
            "goal": f"Count to {at}",
            "sol1": "one two",
            "sol2": "tree",
            "label": at % 2,
            "query": "",
            "choices": ["one two", "tree"],
        }
        for at in numbers
    ]
    stories = [
        {
            "query": f"Walking: It rains {at} days.",
            "choices": ["We go", "Sun", "No", "A b"],
            "gold": at % 4,
        }
        for at in numbers
    ]
    sentences = [
        {
            "sentence": f"The cup {at} and the box met, and the _ fell down.",
            "option1": "cup",
            "option2": "box",
            "answer": "12"[at % 2],
        }
        for at in numbers
    ]
    passages = [
        {
            "query": f"Rain -- It is wet {at}.\nQuestion: is rain wet?\nAnswer:",
            "choices": ["yes", "no"],
            "gold": at % 2,
        }
        for at in numbers
    ]
    last_words = [{"query": f"We walked {at} days and came", "choices": ["home"]} for at in numbers]
    for name, docs in {
        "arc_easy": science,
        "arc_challenge": science,
        "openbookqa": science,
        "piqa": goals,
        "hellaswag": stories,
        "winogrande": sentences,
        "boolq": passages,
        "lambada": last_words,
    }.items():
        write_requests(folder / f"{name}.jsonl.gz", docs)
    write_mmlu(folder / "mmlu.tar.gz")
    return folder
