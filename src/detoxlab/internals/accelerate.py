"""What we use of accelerate beyond its documented interface."""

from detoxlab.internals.versions import check_version


def forget_processes(*, accelerator: bool = False) -> None:
    """Let accelerate look at the environment anew, as in a process that was just started.

    `_reset_state` empties what `PartialState` shares between its instances; with `accelerator`
    also what `AcceleratorState` does.
    """
    check_version("accelerate")
    from accelerate import PartialState
    from accelerate.state import AcceleratorState

    if accelerator:
        AcceleratorState._reset_state(reset_partial_state=True)
    else:
        PartialState._reset_state()
