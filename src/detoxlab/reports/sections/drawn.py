"""Sections of figures alone: flows between levels, distributions of scores, training curves."""

from detoxlab.reports.figures.distributions import distributions
from detoxlab.reports.figures.flow import flow
from detoxlab.reports.figures.training import training as curves
from detoxlab.reports.parts import Section
from detoxlab.reports.study import Study


def flows(study: Study) -> Section:
    """The flow of responses between levels of toxicity, for each variant."""
    drawn = (flow(study, run, index) for index, run in enumerate(study.variants, start=1))
    return Section("flow", "Where responses went", figures=tuple(filter(None, drawn)))


def scores(study: Study) -> Section:
    """The distribution of the judge's scores."""
    return Section("distribution", "Scores", figures=tuple(distributions(study)))


def training(study: Study) -> Section:
    """The curves of each training; and, for JSON, its whole log."""
    return Section(
        "training",
        "Training",
        figures=tuple(
            figure
            for index, run in enumerate(study.trained, start=1)
            for figure in curves(run, index)
        ),
        data={
            "trained": [
                {"name": run.name, "info": run.info, "config": run.config, "log": run.log}
                for run in study.trained
            ]
        },
    )
