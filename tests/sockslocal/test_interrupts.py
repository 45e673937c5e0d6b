import signal
import subprocess
import sys

import pytest

from sockslocal.interrupts import INTERRUPTED, ending_at_once

WHERE_PYTHON_PASSES_OVER_IT = """
import signal
from sockslocal.interrupts import ending_at_once

class Passing:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

with ending_at_once():
    Passing()
print("went on")
"""


def test_ctrl_c_ends_it_at_once() -> None:
    """Also where an exception would be passed over; there is nothing to read."""
    command = [sys.executable, "-c", WHERE_PYTHON_PASSES_OVER_IT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (INTERRUPTED, "", "")


def test_afterwards_it_interrupts() -> None:
    """As it did before."""
    with ending_at_once():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_what_ignores_it_still_does() -> None:
    """Such as what a shell runs in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with ending_at_once():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
