import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sockslocal import locks

HOLD = """
import sys, time
from pathlib import Path
from sockslocal.locks import folder_lock
with folder_lock(Path(sys.argv[1]), 0.0):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_is_held_until_its_descriptor_is_closed(tmp_path: Path) -> None:
    """By one alone, or shared by any number."""
    file = tmp_path / "lock"
    descriptors = [os.open(file, os.O_RDWR | os.O_CREAT) for _ in range(3)]
    first, second, third = descriptors
    assert locks.acquire(first)
    assert not locks.acquire(second)
    assert not locks.acquire(second, shared=True)
    os.close(first)
    assert locks.acquire(second, shared=True)
    assert locks.acquire(third, shared=True)
    assert not locks.acquire(third)
    os.close(second)
    os.close(third)


def test_a_folder_is_locked_by_one_process(tmp_path: Path) -> None:
    """Who waits in vain is told; a process that is killed lets go; nothing is left in the folder."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(TimeoutError), locks.folder_lock(tmp_path, 0.05):
            pass
        process.kill()
    with locks.folder_lock(tmp_path, 0.0):
        assert [*tmp_path.iterdir()] == []
    with locks.folder_lock(tmp_path, 0.0):
        pass


def test_where_there_is_nothing_to_lock_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing folder is for whoever needs it to tell; some network file systems have no locks."""
    with locks.folder_lock(tmp_path / "absent", 0.0):
        pass

    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(fcntl, "flock", refuse)
    entered = False
    with locks.folder_lock(tmp_path, 0.0):
        entered = True
    assert entered


def test_an_error_within_is_the_callers(tmp_path: Path) -> None:
    """It is not taken for one of locking."""
    with pytest.raises(OSError, match="mine"), locks.folder_lock(tmp_path, 0.0):
        raise OSError(5, "mine")
