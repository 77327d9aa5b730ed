"""The changes that make a measured run differ from its base, by name."""

from detoxlab.reports.study import Measured, Study
from detoxlab.steering.names import SteeringName

SYSTEM_PROMPT, BEST_OF = "system prompt", "best of {}"
ELSEWHERE = "another model"  # of which no training is known


def changes_of(study: Study, run: Measured) -> tuple[str, ...]:
    """The training's method, the kinds of steerings, and how the model is asked; () for a base.

    A model other than the baseline's, of which no training is known, is `ELSEWHERE`.
    """
    trained = next((one for one in study.trained if one.name == run.name), None)
    is_other = run.config.get("model") != study.baseline.config.get("model")
    method = trained.info.get("method") if trained else ELSEWHERE if is_other else None
    steer = run.config.get("steer") or ()
    names = (steer,) if isinstance(steer, str) else steer
    best = run.config.get("best_of")
    return (
        *([str(method)] if method else []),
        *(SteeringName.parse(name).kind for name in names),
        *([SYSTEM_PROMPT] if run.config.get("system") else []),
        *([BEST_OF.format(best)] if best else []),
    )
