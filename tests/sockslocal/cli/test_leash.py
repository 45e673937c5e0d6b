import subprocess
import sys

from fakes.waiting import wait_until

HELD = """
import signal, sys, time
from sockslocal.cli import leash
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
leash.hold(0)
print("held", flush=True)
time.sleep(60)
"""


def held() -> "subprocess.Popen[bytes]":
    """A process that is tied to its stdin."""
    process = subprocess.Popen([sys.executable, "-c", HELD], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def test_it_is_told_to_end_when_nobody_holds_the_other_end() -> None:
    """As by a signal, which it may answer in order; what is written there meanwhile means nothing."""
    with held() as process:
        assert process.stdin is not None
        process.stdin.write(b"x" * 10_000)
        process.stdin.flush()
        assert process.poll() is None
        process.stdin.close()
        wait_until(lambda: process.poll() is not None, seconds=10, what="its end")
    assert process.returncode == 7
