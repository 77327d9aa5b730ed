"""The run folder: the settings, prompts, generations, scores and measurements of one command.

    runs/<name>/
      run.json              kind, times, versions, hardware, command, state
      config.yaml           the resolved settings; the same settings resume, others are refused
      prompts.jsonl         the prompts that were asked
      generations/*.jsonl   appended and flushed per batch
      scores/*.jsonl        one file per scorer
      measurements.json     a list of Measurement
      train.jsonl           one object per logged training step
      adapter/              weights, in PEFT's layout

A finished file of generations or scores with a million rows or more is a Parquet file instead (see
`detoxlab.runs.tables`).

A run only grows: finished lines are never rewritten. A last line that was cut off by a
kill is dropped with a warning; any other bad line is an error with file and line.
"""

from detoxlab.runs.files import (
    TornLineWarning,
    append_rows,
    complete_lines,
    file_name,
    keep_lines,
    read_json,
    read_rows,
)
from detoxlab.runs.run import Over, Run, is_run
from detoxlab.runs.state import check_complete, check_kind

__all__ = [
    "Over",
    "Run",
    "TornLineWarning",
    "append_rows",
    "check_complete",
    "check_kind",
    "complete_lines",
    "file_name",
    "is_run",
    "keep_lines",
    "read_json",
    "read_rows",
]
