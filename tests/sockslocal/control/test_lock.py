import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.descriptors import open_descriptors
from fakes.waiting import wait_until
from sockslocal.control import lock
from sockslocal.control.folder import Folder
from sockslocal.control.lock import Lock, holder
from sockslocal.errors import ControlError

HOLD = """
import sys, time
from pathlib import Path
from sockslocal.control.folder import Folder
from sockslocal.control.lock import Lock
folder = Folder(Path(sys.argv[1]), create=True)
held = Lock(folder)
print("held", flush=True)
time.sleep(60)
"""


def test_the_holder_is_known_while_the_lock_is_held(tmp_path: Path) -> None:
    """The process id stands in the file; after `close` nobody holds it, though the file stays."""
    with Folder(tmp_path / "run", create=True) as folder:
        assert holder(folder) is None
        held = Lock(folder)
        assert holder(folder) == os.getpid()
        held.close()
        assert holder(folder) is None
        assert (tmp_path / "run" / "lock").read_text() == f"{os.getpid()}\n"


def test_a_second_lock_is_refused_by_the_name_of_the_first(tmp_path: Path) -> None:
    """`already-running` says which process runs, and leaves it alone."""
    with Folder(tmp_path / "run", create=True) as folder:
        held = Lock(folder)
        with pytest.raises(ControlError, match=f"as process {os.getpid()}") as caught:
            Lock(folder)
        assert caught.value.problem.code == "already-running"
        assert holder(folder) == os.getpid()
        held.close()


def test_a_killed_holder_leaves_the_lock_free(tmp_path: Path) -> None:
    """The kernel lets go, however the process ended; the number that it left means nothing."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with Folder(tmp_path / "run", create=False) as folder:
            assert holder(folder) == process.pid
            process.send_signal(signal.SIGKILL)
            wait_until(lambda: holder(folder) is None, seconds=10, what="the lock is free")
            Lock(folder).close()


@pytest.mark.parametrize("content", [b"", b"-1\n", b"garbage", b"9" * 40, "٣".encode(), b"1 2"])
def test_an_unreadable_number_is_unknown(tmp_path: Path, content: bytes) -> None:
    """A lock without a readable process id is held all the same."""
    with Folder(tmp_path / "run", create=True) as folder:
        held = Lock(folder)
        (tmp_path / "run" / "lock").write_bytes(content)
        assert holder(folder) == lock.UNKNOWN
        with pytest.raises(ControlError, match="as process unknown"):
            Lock(folder)
        held.close()


def test_a_lock_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """The number is never written into what a link leads to."""
    target = tmp_path / "precious"
    target.write_text("precious")
    with Folder(tmp_path / "run", create=True) as folder:
        (tmp_path / "run" / "lock").symlink_to(target)
        for use in (Lock, holder):
            with pytest.raises(ControlError) as caught:
                use(folder)
            assert caught.value.problem.code == "folder-unsafe"
    assert target.read_text() == "precious"


def test_a_full_disk_costs_the_number_not_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock is held although its holder could not be written down."""

    def full(_descriptor: int, _content: bytes) -> int:
        raise OSError(28, "No space left on device")

    with Folder(tmp_path / "run", create=True) as folder:
        monkeypatch.setattr("os.write", full)
        held = Lock(folder)
        assert holder(folder) == lock.UNKNOWN
        held.close()


def test_a_file_system_without_locks_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a lock there is no daemon, and no descriptor left behind."""

    def unsupported(_descriptor: int, _operation: int) -> None:
        raise OSError(95, "Operation not supported")

    with Folder(tmp_path / "run", create=True) as folder:
        monkeypatch.setattr("fcntl.flock", unsupported)
        before = open_descriptors()
        with pytest.raises(ControlError, match="cannot be locked: Operation not supported"):
            Lock(folder)
        assert open_descriptors() == before
