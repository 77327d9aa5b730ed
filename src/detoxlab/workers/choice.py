"""Which workers `--on` names."""

import importlib.util

from detoxlab.errors import ConfigError, DependencyError
from detoxlab.workers.base import HERE, Workers

LOCAL = "local"
RAY = "ray"


def check_on(on: str, workers: int | None) -> None:
    """Raises `ConfigError` unless `on` names an engine, `DependencyError` without Ray.

    >>> check_on("ray", 8)
    >>> check_on("spark", None)
    Traceback (most recent call last):
        ...
    detoxlab.errors.ConfigError: --on spark: is no engine. Give 'local' or 'ray'.
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"--workers is {workers}", remedy="It must be at least 1.")
    if on == LOCAL:
        if workers is not None:
            raise ConfigError(
                "--workers: this process has none", remedy="Add --on ray, or leave it out."
            )
        return
    if on.startswith("ray://"):
        raise ConfigError(
            f"--on {on}: Ray Data does not work through Ray's client",
            remedy="Run the command on a machine of the cluster: RAY_ADDRESS=auto, --on ray.",
        )
    if on != RAY:
        raise ConfigError(f"--on {on}: is no engine", remedy="Give 'local' or 'ray'.")
    if importlib.util.find_spec("ray") is None:
        raise DependencyError(f"--on {on}: needs Ray", remedy="pip install 'detoxlab[scale]'")


def workers_on(on: str, workers: int | None = None) -> Workers:
    """This process for "local"; for "ray" the cluster that RAY_ADDRESS names, or one made here.

    `workers` is their number; by default one for each GPU, or for each CPU where there are none.
    """
    check_on(on, workers)
    if on == LOCAL:
        return HERE
    from detoxlab.workers.ray import RayWorkers

    return RayWorkers(workers)
