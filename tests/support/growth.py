"""How the time of a function grows with its text: a ratio of two times of one process."""

import gc
import time
from collections.abc import Callable

TIMES_LONGER = 8
AT_MOST = 24  # linear work takes 8 times as long, quadratic work 64 times
SHORT_SECONDS = 0.2  # less is lost in the clock and in the machine's other work


def takes_linear_time(work: Callable[[int], object], size: int) -> bool:
    """Whether `work(8 * size)` takes less than 24 times the processor time of `work(size)`."""
    return _seconds(work, TIMES_LONGER * size) < max(SHORT_SECONDS, AT_MOST * _seconds(work, size))


def _seconds(work: Callable[[int], object], size: int) -> float:
    """The processor time of the faster of two calls, without the collector of garbage."""
    taken = []
    for _ in range(2):
        gc.disable()
        try:
            begun = time.process_time()
            work(size)
            taken.append(time.process_time() - begun)
        finally:
            gc.enable()
    return min(taken)
