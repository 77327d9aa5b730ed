"""Explains the responses of measured runs, into one run folder."""

from detoxlab.pipeline.explaining.stages import (
    check_explain,
    check_method,
    explain_runs,
    planned,
)

__all__ = ["check_explain", "check_method", "explain_runs", "planned"]
