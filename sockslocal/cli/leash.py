"""A process that is not to outlive the one that started it."""

import os
import signal
import threading

_BLOCK = 4096


def hold(descriptor: int) -> None:
    """From now on this process is told to end, as by SIGTERM, at the end of the pipe `descriptor`.

    Whoever started it holds the other end, and so ends it by its own end, whichever way that comes.
    """
    threading.Thread(target=_wait, args=(descriptor,), name="leash", daemon=True).start()


def _wait(descriptor: int) -> None:
    while os.read(descriptor, _BLOCK):  # not `sys.stdin`, whose lock the end of the interpreter would want
        pass
    os.kill(os.getpid(), signal.SIGTERM)
