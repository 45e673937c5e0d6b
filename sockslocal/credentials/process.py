"""Starting the child, talking to it, and ending it in time. Works on any event loop, on any platform.

asyncio's own subprocesses do not: on Windows the loop that has `add_reader` has none. So a thread does the
blocking calls; killing the child is what ends them early.
"""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import NamedTuple

from sockslocal import children

_REAPING = 2.0
"""Seconds a killed child gets to be gone; one in an uninterruptible system call takes longer and is left."""


class Reply(NamedTuple):
    """What the child wrote, and its exit status; negative is a signal's number."""

    content: bytes
    status: int


def child_command() -> list[str]:
    """How the child is started."""
    return children.command_of("sockslocal.credentials")


async def converse(request: bytes, *, deadline: float, limit: int) -> Reply | None:
    """Send `request` to a new child; take at most `limit` bytes of its answer.

    None where it took longer than `deadline` seconds; then it has been killed, with what it started. The same
    happens where the caller is cancelled. Raises OSError where no child can be started.
    """
    process = children.start(child_command(), own_group=True)
    reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    # A daemon thread: one whose child cannot be killed must not keep this process from ending.
    threading.Thread(target=_exchange, args=(process, request, limit, reply), daemon=True).start()
    try:
        await asyncio.wait({reply}, timeout=deadline)
        if reply.done():
            return reply.result()
        _kill(process)
        await asyncio.wait({reply}, timeout=_REAPING)
        return None
    finally:
        if not reply.done():
            reply.cancel()  # before the child ends, so that the thread leaves the loop alone
            _kill(process)


def _exchange(
    process: subprocess.Popen[bytes], request: bytes, limit: int, reply: asyncio.Future[Reply]
) -> None:
    """The blocking part, in a thread of its own."""
    assert process.stdin is not None  # noqa: S101  for mypy: both were opened as pipes
    assert process.stdout is not None  # noqa: S101
    with process:
        with suppress(OSError), process.stdin as stdin:  # it may have ended before reading
            stdin.write(request)
        answer = process.stdout.read(limit)
    if reply.cancelled():
        return
    with suppress(RuntimeError):  # the loop is closed: whoever asked is gone
        reply.get_loop().call_soon_threadsafe(_settle, reply, Reply(answer, process.returncode))


def _settle(future: asyncio.Future[Reply], reply: Reply) -> None:
    if not future.done():
        future.set_result(reply)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the child and whatever it started, unless it has ended."""
    if process.poll() is not None:
        return
    if sys.platform == "win32":
        import psutil

        with suppress(psutil.Error):
            for descendant in psutil.Process(process.pid).children(recursive=True):
                descendant.kill()
        process.kill()
    else:
        with suppress(ProcessLookupError, PermissionError):  # ended just now; macOS says the latter
            os.killpg(process.pid, signal.SIGKILL)
