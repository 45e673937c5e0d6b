"""The daemon's side of reading block lists: a child is started, and a thread takes what it writes.

The thread does next to nothing but wait: it takes a few lines, and lets the kernel fill an array.
"""

import asyncio
import os
import subprocess
import threading
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple, cast

import msgspec

from sockslocal import children
from sockslocal.resolver.block_list import BlockList
from sockslocal.resolver.list_reader import MAX_NAMES, Hashes, ListRead, Message, Progress

DEADLINE_S = 300.0
"""For millions of names on a slow disk; a file system that hangs is given up."""

_decode = msgspec.json.Decoder(Message).decode


class ListsError(Exception):
    """The child did not do what it was started for; the text says why."""


class Lists(NamedTuple):
    """All names of all lists, and what came of each file."""

    blocks: BlockList
    files: tuple[ListRead, ...]


def child_command() -> list[str]:
    """How the child is started."""
    return children.command_of("sockslocal.resolver.list_reader")


async def read_lists(paths: Sequence[Path], progress: Callable[[int], None]) -> Lists:
    """The names in `paths`; `progress` is told how many so far, in another thread. Raises ListsError."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Lists] = loop.create_future()
    try:
        process = children.start(child_command())
    except OSError as error:
        raise ListsError(f"no process can be started: {error.strerror}") from None

    def take() -> None:
        try:
            request = b"".join(os.fsencode(path) + b"\0" for path in paths)
            lists = _exchange(process, request, progress)
            _tell(loop, done, lambda: done.set_result(lists))
        except Exception as error:  # noqa: BLE001  whatever it is, somebody waits for the outcome
            reason = ListsError(f"its reader failed: {error}")
            _tell(loop, done, lambda: done.set_exception(reason))

    # A daemon thread: one whose child cannot be killed must not keep this process from ending.
    threading.Thread(target=take, name="block lists", daemon=True).start()
    try:
        async with asyncio.timeout(DEADLINE_S):
            return await done
    except TimeoutError:
        raise ListsError(f"it took more than {DEADLINE_S:g} s") from None
    finally:
        process.kill()


def _tell(loop: asyncio.AbstractEventLoop, done: asyncio.Future[Lists], finish: Callable[[], None]) -> None:
    """Have the loop `finish`, if it still runs and anybody waits."""
    with suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(lambda: None if done.done() else finish())


def _exchange(process: subprocess.Popen[bytes], request: bytes, progress: Callable[[int], None]) -> Lists:
    """Send the request, and take the answer to its end. Raises ValueError and OSError where that is none."""
    with process:
        assert process.stdin is not None  # noqa: S101  they are pipes
        assert process.stdout is not None  # noqa: S101
        process.stdin.write(request)
        process.stdin.close()
        return _take(cast(BufferedReader, process.stdout), progress)


def _take(stdout: BufferedReader, progress: Callable[[int], None]) -> Lists:
    files: list[ListRead] = []
    while line := stdout.readline(1 << 16):
        match _decode(line):
            case Progress(names):
                progress(names)
            case ListRead() as read:
                files.append(read)
            case Hashes(count, exceptions):
                blocks = BlockList(_hashes(stdout, count), _hashes(stdout, exceptions))
                return Lists(blocks, tuple(files))
    raise ValueError("it ended early")


def _hashes(stdout: BufferedReader, count: int) -> "array[int]":
    """The `count` numbers that follow."""
    if count > MAX_NAMES:
        raise ValueError("too many names")
    hashes = array("Q", [0]) * count
    left = memoryview(hashes).cast("B")
    while left:
        taken = stdout.readinto(left)
        if not taken:
            raise ValueError("it ended early")
        left = left[taken:]
    return hashes
