import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.system_dns import BY_HAND
from sockslocal.system_dns import changes
from sockslocal.system_dns.changes import ForeignFileError, is_ours, look, make, put, survey, undo
from sockslocal.system_dns.journal import RESOLVED_DROP_IN, Snapshot

PATH = "etc/resolv.conf"
AFTER = b"nameserver 127.0.0.1\n"

IN_A_CONTAINER = """\
import sys
from pathlib import Path
from fakes.system_dns import BY_HAND, Machine
from sockslocal.system_dns import backends
from sockslocal.system_dns.transaction import Transaction

machine = Machine(Path(sys.argv[1]))
before = machine.picture()
transaction = Transaction(machine.system, backends.of(machine.system, "linux"))
transaction.apply(53, fail_open=True, last_resort=True)
assert machine.is_ours
assert transaction.restore().was_switched
assert machine.picture() == before, machine.picture()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A resolv.conf by hand."""
    target = tmp_path / PATH
    target.parent.mkdir()
    target.write_bytes(BY_HAND)
    target.chmod(0o640)
    return target


def test_what_is_no_file_is_left_alone(file: Path, tmp_path: Path) -> None:
    """It could not be brought back."""
    file.unlink()
    file.mkdir()
    with pytest.raises(ForeignFileError, match="neither a file nor a link"):
        survey(tmp_path, PATH, AFTER)


def test_what_is_too_large_is_left_alone(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal would not hold it."""
    monkeypatch.setattr(changes, "MAX_KEPT", 10)
    with pytest.raises(ForeignFileError, match="larger"):
        survey(tmp_path, PATH, AFTER)


def test_everybody_can_read_what_we_put_there(file: Path, tmp_path: Path) -> None:
    """Whatever the umask, and whoever could read the old one."""
    old = os.umask(0o077)
    try:
        make(tmp_path, survey(tmp_path, PATH, AFTER))
        (tmp_path / "run/systemd").mkdir(parents=True)
        make(tmp_path, survey(tmp_path, RESOLVED_DROP_IN, AFTER))
    finally:
        os.umask(old)
    drop_in = tmp_path / RESOLVED_DROP_IN
    assert [path.stat().st_mode & 0o777 for path in (file, drop_in, drop_in.parent)] == [0o644, 0o644, 0o755]


def test_once_more_changes_nothing(file: Path, tmp_path: Path) -> None:
    """Not even the inode."""
    change = survey(tmp_path, PATH, AFTER)
    make(tmp_path, change)
    inode = file.stat().st_ino
    make(tmp_path, change)
    assert file.stat().st_ino == inode
    undo(tmp_path, change, "applied")
    inode = file.stat().st_ino
    undo(tmp_path, change, "applied")
    assert (file.stat().st_ino, look(file)) == (inode, change.before)


@pytest.mark.parametrize("error", [errno.EBUSY, errno.EROFS])
def test_what_cannot_be_renamed_over_is_written_in_place(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """As a mount is; its mode and its inode stay."""

    def refuse(*_: object) -> Path:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(Path, "replace", refuse)
    inode = file.stat().st_ino
    change = survey(tmp_path, PATH, AFTER)
    make(tmp_path, change)
    assert (file.stat().st_ino, file.stat().st_mode & 0o777, file.read_bytes()) == (inode, 0o640, AFTER)
    undo(tmp_path, change, "applied")
    assert (file.stat().st_ino, look(file)) == (inode, change.before)
    assert [path.name for path in file.parent.iterdir()] == ["resolv.conf"]


def test_a_full_disk_leaves_all_as_it_was(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old file, and nothing beside it."""
    change = survey(tmp_path, PATH, AFTER)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        make(tmp_path, change)
    assert look(file) == change.before
    assert [path.name for path in file.parent.iterdir()] == ["resolv.conf"]


def test_a_link_is_never_written_through(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it cannot be replaced, that is an error."""
    file.rename(file.with_name("other"))
    file.symlink_to("other")

    def refuse(*_: object) -> Path:
        raise OSError(errno.EBUSY, "busy")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="busy"):
        put(file, Snapshot(kind="file", content=AFTER, mode=0o644))
    assert file.with_name("other").read_bytes() == BY_HAND


def test_half_of_ours_is_ours_only_while_it_is_written(file: Path, tmp_path: Path) -> None:
    """Afterwards it is somebody else's work, as any other content is."""
    change = survey(tmp_path, PATH, AFTER)
    file.write_bytes(AFTER[:5])
    assert [is_ours(tmp_path, change, step) for step in ("applying", "applied", "restoring")] == [
        True,
        False,
        True,
    ]
    file.write_bytes(BY_HAND[:5])
    assert [is_ours(tmp_path, change, step) for step in ("applying", "applied", "restoring")] == [
        False,
        False,
        True,
    ]


def test_a_folder_that_others_use_too_stays(tmp_path: Path) -> None:
    """Only an empty one of ours goes."""
    (tmp_path / "run/systemd").mkdir(parents=True)
    change = survey(tmp_path, RESOLVED_DROP_IN, AFTER)
    make(tmp_path, change)
    other = (tmp_path / RESOLVED_DROP_IN).with_name("other.conf")
    other.write_bytes(b"")
    undo(tmp_path, change, "applied")
    assert list(other.parent.iterdir()) == [other]


@pytest.mark.skipif(sys.platform != "linux", reason="mount namespaces are Linux's")
def test_a_real_mount_in_a_container(file: Path, tmp_path: Path) -> None:
    """resolv.conf is a file mounted over another one: every byte and mode comes back."""
    mounted = tmp_path / "mounted"
    mounted.write_bytes(BY_HAND)
    tests = Path(__file__).parents[2]
    script = f'mount --bind "{mounted}" "{file}" || exit 77; exec "$0" -c "$1" "$2"'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, sys.executable, IN_A_CONTAINER, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tests.parent), str(tests)))},
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("no namespaces here")
    assert (done.returncode, done.stderr) == (0, "")
    assert mounted.read_bytes() == BY_HAND
