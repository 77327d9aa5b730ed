"""The parts of accelerate that we use beyond its documented interface."""

from detoxlab.internals.versions import check_version


def forget_processes(*, accelerator: bool = False) -> None:
    """Make accelerate read the environment again, as in a new process.

    `_reset_state` empties the state that instances of `PartialState` share; with `accelerator`
    also that of `AcceleratorState`.
    """
    check_version("accelerate")
    from accelerate import PartialState
    from accelerate.state import AcceleratorState

    if accelerator:
        AcceleratorState._reset_state(reset_partial_state=True)
    else:
        PartialState._reset_state()
