"""What a training took is measured for itself, not for the process so far."""

import subprocess
import sys

import numpy as np
import pytest

from detoxlab.pipeline.resources import measured_usage

MIB = 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak cannot be started anew")
def test_the_peak_is_that_of_the_block() -> None:
    with measured_usage("cpu") as large:
        np.ones(200 * MIB, dtype=np.uint8).sum()
    with measured_usage("cpu") as small:
        np.ones(10 * MIB, dtype=np.uint8).sum()
    assert 150 * MIB < large.peak_bytes - small.peak_bytes < 250 * MIB
    assert large.seconds > 0


def test_usage_stands_also_when_the_work_failed() -> None:
    with pytest.raises(RuntimeError), measured_usage("cpu") as usage:
        raise RuntimeError
    assert usage.peak_bytes > MIB


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak is that of all so far")
def test_a_program_does_not_begin_with_the_peak_of_the_one_that_began_it() -> None:
    large = np.ones(400 * MIB, dtype=np.uint8)
    said = "from detoxlab.pipeline.resources import peak_bytes; print(peak_bytes('cpu'))"
    done = subprocess.run([sys.executable, "-c", said], check=True, capture_output=True, text=True)
    assert int(done.stdout) < large.nbytes
