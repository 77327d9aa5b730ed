"""The figures of a report, as Plotly data that needs no Plotly to be made."""

from detoxlab.reports.figures.base import Figure
from detoxlab.reports.figures.changes import changes
from detoxlab.reports.figures.distributions import distributions
from detoxlab.reports.figures.flow import flow
from detoxlab.reports.figures.sensitivity import sensitivity
from detoxlab.reports.figures.tradeoff import trade_off
from detoxlab.reports.figures.training import training
from detoxlab.reports.study import Study

__all__ = ["Figure", "all_figures"]


def all_figures(study: Study) -> dict[str, list[Figure]]:
    """All figures, by the section they stand in."""
    flows = [flow(study, run, index) for index, run in enumerate(study.variants, start=1)]
    return {
        "changes": [figure for figure in [changes(study), sensitivity(study)] if figure],
        "flow": [figure for figure in flows if figure],
        "distributions": distributions(study),
        "training": [f for i, run in enumerate(study.trained, start=1) for f in training(run, i)],
        "trade-off": [figure for figure in [trade_off(study)] if figure],
    }
