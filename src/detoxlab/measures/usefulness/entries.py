"""The measures of benchmarks, of costs and of win rates, entries of the catalogue."""

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

COSTS = (
    Measure(
        "front_share",
        "On the Pareto front",
        "bootstrap resamples in which no model is less toxic and at least as useful ÷ resamples",
        direction="higher",
        part="usefulness",
    ),
    Measure("wall_seconds", "Time", "time of a stage by the clock", "seconds", part="usefulness"),
    Measure(
        "cpu_seconds", "Processor time", "time of all processors", "seconds", part="usefulness"
    ),
    Measure("peak_bytes", "Peak memory", "of the process", "bytes", part="usefulness"),
    Measure("peak_device_bytes", "Peak GPU memory", "of all GPUs", "bytes", part="usefulness"),
)

WIN_RATES = (
    Measure(
        "win_rate",
        "Win rate",
        "(wins + ties ÷ 2) ÷ judged pairs; .5 is no preference",
        direction="higher",
        part="win rate",
    ),
    Measure(
        "wins",
        "Wins",
        "pairs in which the treated model's response is preferred ÷ judged pairs",
        direction="higher",
        part="win rate",
    ),
    Measure(
        "ties",
        "Ties",
        "pairs without a preference, or with one that changes on swapping ÷ judged pairs",
        direction="neither",
        part="win rate",
    ),
    Measure(
        "losses",
        "Losses",
        "pairs in which the baseline's response is preferred ÷ judged pairs",
        part="win rate",
    ),
    Measure(
        "chose_first",
        "Chose first",
        "answers for the response that was shown first ÷ questions about two unlike responses; .5 "
        "is no position bias",
        direction="neither",
        part="win rate",
        unknown_when="all pairs are of two equal responses",
    ),
    Measure(
        "strength",
        "Strength",
        "Bradley–Terry strength among all models judged against each other, with mean 0; a model "
        "wins against another with probability 1 ÷ (1 + exp(its strength − this one))",
        "nats",
        "higher",
        "win rate",
    ),
    Measure(
        "mean_win_rate",
        "Mean win rate",
        "mean over the other models of the win rate against each",
        direction="higher",
        part="win rate",
        unknown_when="two models have no pair with a vote",
    ),
)
