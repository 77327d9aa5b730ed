"""The measures of benchmarks, entries of the catalogue."""

from detoxlab.measures.entry import Measure

BENCHMARKS = (
    Measure(
        "accuracy",
        "Accuracy",
        "questions whose right answer has the highest log-probability ÷ questions",
        direction="higher",
        part="usefulness",
    ),
    Measure(
        "normalised_accuracy",
        "Accuracy, by length",
        "questions whose right answer has the highest log-probability per character ÷ questions",
        direction="higher",
        part="usefulness",
    ),
    Measure(
        "macro_accuracy",
        "Accuracy, mean over tasks",
        "mean over tasks of the accuracy, by length where the task has it",
        direction="higher",
        part="usefulness",
    ),
    Measure(
        "benchmark_score",
        "Benchmark's own score",
        "mean over items of another metric of the benchmark, which `attribute` names",
        "score",
        "higher",
        "usefulness",
    ),
    Measure(
        "target_perplexity",
        "Perplexity of the answer",
        "exp of the mean nats of the answer (LAMBADA: of the last word)",
        "perplexity",
        part="usefulness",
    ),
)
