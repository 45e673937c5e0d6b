"""Keeping a process's memory, where passwords are, from ending up elsewhere."""

import sys

_PR_SET_DUMPABLE = 4  # prctl(2)


def harden() -> None:
    """Leave no core file; on Linux also refuse debuggers and readers of /proc/PID/mem of the same user.

    Both, because a core pattern that pipes to a program disregards the limit (core(5)). Lasts until exec.
    """
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
