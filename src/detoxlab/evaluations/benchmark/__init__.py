"""Benchmarks of lm-evaluation-harness on a subject: MMLU, commonsense, LAMBADA, any task of it.

kind       the evaluation `Benchmark`, and its settings
suites     names of benchmarks, and the tasks that each consists of
local      the benchmarks' rows from files, where there is no network
asking     the harness's tasks: prompts, requests, metrics of each question
lm         a subject as the harness asks a model
numbers    measurements and paired differences from results

Only `asking` and `lm` import lm_eval, when a model is evaluated: reports need none.
"""

from detoxlab.evaluations.benchmark.kind import Benchmark
from detoxlab.evaluations.benchmark.suites import SUITES

__all__ = ["SUITES", "Benchmark"]
