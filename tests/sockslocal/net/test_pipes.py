import errno
import os
import subprocess
import sys

import pytest

from fakes.descriptors import open_descriptors
from sockslocal.net.pipes import CAPACITY, KEPT, Pipe, PipePool

NOBODY = 65534


def borrowed(pool: PipePool) -> Pipe:
    """A pipe that must be there."""
    pipe = pool.borrow()
    assert pipe is not None
    return pipe


def test_capacity_is_what_the_kernel_gave() -> None:
    """A pipe is enlarged, and says how large it is."""
    pool = PipePool()
    pipe = borrowed(pool)
    assert 4096 <= pipe.capacity <= CAPACITY
    os.set_blocking(pipe.writer, False)
    assert os.write(pipe.writer, bytes(2 * CAPACITY)) == pipe.capacity
    pipe.held = pipe.capacity
    pool.give_back(pipe)


def test_an_empty_pipe_is_lent_again() -> None:
    """What came back empty is kept for the next borrower."""
    pool = PipePool()
    pipe = borrowed(pool)
    assert pool.lent == 1
    pool.give_back(pipe)
    assert pool.lent == 0
    assert borrowed(pool) is pipe
    pool.give_back(pipe)
    pool.close()


def test_a_pipe_with_octets_is_closed() -> None:
    """Nobody gets a pipe in which there are octets of another."""
    before = open_descriptors()
    pool = PipePool()
    pipe = borrowed(pool)
    os.write(pipe.writer, b"secret of another connection")
    pipe.held = 28
    pool.give_back(pipe)
    assert pool.lent == 0
    assert open_descriptors() == before


def test_few_are_kept() -> None:
    """However many were lent at once, only some are kept."""
    before = open_descriptors()
    pool = PipePool()
    lent = [borrowed(pool) for _ in range(KEPT + 5)]
    assert pool.lent == KEPT + 5
    for pipe in lent:
        pool.give_back(pipe)
    assert open_descriptors() == before + 2 * KEPT
    pool.close()
    assert open_descriptors() == before


def test_close_while_some_are_lent() -> None:
    """A pipe that comes back after the pool was closed is closed too."""
    before = open_descriptors()
    pool = PipePool()
    pipe = borrowed(pool)
    pool.close()
    pool.give_back(pipe)
    assert pool.lent == 0
    assert open_descriptors() == before


def test_no_descriptor_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none can be made none is lent."""

    def out_of_descriptors() -> tuple[int, int]:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "pipe", out_of_descriptors)
    pool = PipePool()
    assert pool.borrow() is None
    assert pool.lent == 0


def test_the_reserve_is_left_alone() -> None:
    """A pipe whose descriptors would come from the reserve is not lent, and not left open."""
    before = open_descriptors()
    pool = PipePool(ceiling=os.dup(2))
    os.close(pool._ceiling)
    assert pool.borrow() is None
    assert pool.lent == 0
    assert open_descriptors() == before


def test_only_linux_splices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere there is nothing to lend a pipe for."""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert PipePool().borrow() is None


OVER_THE_LIMIT = f"""
import os, resource, sys
from pathlib import Path
from sockslocal.net.pipes import CAPACITY, PipePool

if os.getuid() == 0:
    os.setgroups([])
    os.setgid({NOBODY})
    os.setuid({NOBODY})
pool = PipePool()
limit = int(Path("/proc/sys/fs/pipe-user-pages-soft").read_text()) * resource.getpagesize()
lent = [pool.borrow() for _ in range(limit // CAPACITY + 10)]
sizes = [pipe.capacity for pipe in lent]
assert sizes[0] == CAPACITY, sizes[0]
assert 0 < sizes[-1] < CAPACITY, sizes[-1]
small = lent[-1]
os.set_blocking(small.writer, False)
assert os.write(small.writer, bytes(CAPACITY)) == small.capacity
resource.setrlimit(resource.RLIMIT_NOFILE, (small.writer + 1, small.writer + 1))
assert pool.borrow() is None
assert pool.lent == len(lent)
"""


def test_an_unprivileged_user_over_the_limit() -> None:
    """Past the user's share of pipe memory pipes are small, past that of descriptors there are none."""
    done = subprocess.run(
        [sys.executable, "-c", OVER_THE_LIMIT], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
