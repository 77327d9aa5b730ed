"""Training curves."""

from dataclasses import replace

from detoxlab.reports.figures.constraint import constraint
from detoxlab.reports.figures.curves import Points, curves_figure, points_of
from detoxlab.reports.parts import Figure
from detoxlab.reports.study import Trained

CURVES = (
    ("loss", "Loss", ("loss", "eval_loss")),
    ("reward", "Reward", ("reward", "eval_reward")),
    ("toxicity", "Toxicity of the sampled responses", ("toxicity",)),
    ("kl", "KL to the reference model, nats per token", ("kl",)),
    ("kl_coefficient", "KL coefficient", ("kl_coefficient",)),
    ("entropy", "Entropy", ("entropy",)),
    ("parts", "Parts of the loss", ("policy_loss", "value_loss")),
    ("response_length", "Response length, tokens", ("response_length",)),
    ("divergence", "KL per regularised prefix, nats", ("kl_to_target", "kl_to_anchor")),
    ("head", "Loss of the auxiliary head, nats", ("acceptance_loss", "consistency_loss")),
    ("learning_rate", "Learning rate", ("learning_rate",)),
    ("grad_norm", "Gradient norm", ("grad_norm",)),
)
FOLDED = ("learning_rate", "grad_norm")  # settings and diagnostics, of use where a loss looks odd


def training(trained: Trained, index: int) -> list[Figure]:
    """Training curves of one run: loss with validation loss, and the other logged figures."""
    figures = []
    for key, title, names in (*CURVES, ("gates", "Share of responses gated", _gates(trained))):
        curves = {name: _points(trained, name) for name in names}
        curves = {name: points for name, points in curves.items() if points}
        if curves:
            name = f"{title} · {trained.name}"
            figure = curves_figure(f"train-{index}-{key}", name, curves)
            figures.append(replace(figure, folded=key in FOLDED))
    return [*figures, *constraint(trained, index)]


def _gates(trained: Trained) -> tuple[str, ...]:
    """The gates that ever fired."""
    names = {name for row in trained.log for name in row if name.startswith("gate_")}
    return tuple(sorted(n for n in names if any(row.get(n) for row in trained.log)))


def _points(trained: Trained, name: str) -> Points:
    """The points of one figure; rows of validation alone count only for `eval_` names."""
    rows = ({"step": at} | dict(row) for at, row in enumerate(trained.log, start=1))
    of_training = (row for row in rows if "eval_loss" not in row or "loss" in row)
    return points_of(rows if name.startswith("eval_") else of_training, name)
