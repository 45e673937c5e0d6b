import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fakes.limited import run_with_small_files
from sockslocal.files import FileError, read_bounded, remove_leftovers, write_atomically


def test_reads_what_is_there(tmp_path: Path) -> None:
    """A file of at most the limit is read whole, also through a link."""
    path = tmp_path / "file"
    link = tmp_path / "link"
    link.symlink_to(path)
    path.write_bytes(b"x" * 100)
    assert read_bounded(path, 100) == read_bounded(link, 100) == b"x" * 100
    path.write_bytes(b"")
    assert read_bounded(path, 100) == b""


def test_too_large(tmp_path: Path) -> None:
    """No more than the limit comes into memory."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1_001)
    with pytest.raises(FileError, match="it is larger than 1,000 bytes"):
        read_bounded(path, 1_000)


def test_not_there(tmp_path: Path) -> None:
    """What is not there, or is a folder, is told as the system tells it."""
    with pytest.raises(FileNotFoundError):
        read_bounded(tmp_path / "absent", 1)
    with pytest.raises(OSError, match="directory" if os.name != "nt" else "denied"):
        read_bounded(tmp_path, 1)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipe(tmp_path: Path) -> None:
    """A pipe that nobody writes to, and one that somebody does, are refused at once."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    refused: list[FileError] = []

    def read() -> None:
        with pytest.raises(FileError, match="it is not a regular file") as caught:
            read_bounded(path, 1)
        refused.append(caught.value)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(30)
    writer = os.open(path, os.O_RDWR)
    try:
        os.write(writer, b"x")
        read()
    finally:
        os.close(writer)
    assert len(refused) == 2


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device")
def test_device() -> None:
    """A device that never ends is refused."""
    with pytest.raises(FileError, match="it is not a regular file"):
        read_bounded(Path("/dev/zero"), 1)


def test_writes(tmp_path: Path) -> None:
    """A new file, and one in the place of an old one, is whole, this user's, and alone in its folder."""
    path = tmp_path / "file"
    previous = os.umask(0)
    try:
        for content in (b"one", b"", b"three" * 100_000):
            write_atomically(path, content)
            assert path.read_bytes() == content
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            path.chmod(0o644)
    finally:
        os.umask(previous)
    assert [*tmp_path.iterdir()] == [path]


def test_writes_through_links(tmp_path: Path) -> None:
    """A link stays one, and what it leads to is replaced, over several links and where nothing is yet."""
    folder = tmp_path / "folder"
    folder.mkdir()
    target, first, second = folder / "target", folder / "first", tmp_path / "second"
    first.symlink_to("target")
    second.symlink_to(first)
    for content in (b"one", b"two"):
        write_atomically(second, content)
        assert target.read_bytes() == content
    assert first.is_symlink()
    assert second.is_symlink()
    assert sorted(folder.iterdir()) == [first, target]


def test_nothing_is_followed_to_make_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever guesses the name of the temporary file gains nothing by planting a link there."""
    monkeypatch.setattr("sockslocal.files.secrets.token_hex", lambda _: "guessed")
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
    (tmp_path / ".file.guessed").symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_atomically(tmp_path / "file", b"x")
    assert victim.read_bytes() == b"untouched"


def test_failure_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the new file cannot be made to last, the old one stays, and nothing is left beside it."""
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [*tmp_path.iterdir()] == [path]


def test_write_cut_short(tmp_path: Path) -> None:
    """A write that the system cuts off leaves the old file whole."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    code = (
        "import sys; from pathlib import Path; from sockslocal.files import write_atomically\n"
        "try: write_atomically(Path(sys.argv[1]), bytes(100_000))\n"
        "except OSError as error: print(error.strerror)"
    )
    assert run_with_small_files(code, path, octets=1_000) == "File too large\n"
    assert path.read_bytes() == b"old"
    assert [*tmp_path.iterdir()] == [path]


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    """Just that: neither what is somebody else's, nor what is no file, nor a file of a similar name."""
    code = (
        "import os, sys; os.fsync = lambda _: os.kill(os.getpid(), 9); from pathlib import Path\n"
        "from sockslocal.files import write_atomically; write_atomically(Path(sys.argv[1]), b'secret')"
    )
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_bytes(b"old")
    link.symlink_to(path)
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    (left,) = set(tmp_path.iterdir()) - {path, link}
    assert left.read_bytes() == b"secret"
    token = left.name.removeprefix(".file.")
    others = {
        tmp_path / name for name in (f".other.{token}", f".file.{token}0", ".file.swp", f"file.{token}")
    }
    for other in others:
        other.touch()
    folder = tmp_path / ".file.0123456789abcdef"
    folder.mkdir()
    remove_leftovers(link)
    assert set(tmp_path.iterdir()) == {path, link, folder, *others}
    remove_leftovers(tmp_path / "absent" / "file")


def test_folder_that_cannot_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that syncs no folders still gets the file."""
    real = os.fsync

    def only_files(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)
    write_atomically(tmp_path / "file", b"x")
    assert (tmp_path / "file").read_bytes() == b"x"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o600, 0o400])
def test_a_mode_that_is_kept(tmp_path: Path, mode: int) -> None:
    """Who could read the old file can read the new one, nobody else; a file that is new is the user's."""
    path = tmp_path / "file"
    write_atomically(path, b"one", keep_mode=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(mode)
    write_atomically(path, b"two", keep_mode=True)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"two", mode)


def test_another_group_is_not_let_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file cannot be given to the group it had, the group it is made with has no right to it."""
    path = tmp_path / "file"
    path.write_bytes(b"one")
    path.chmod(0o664)
    before = path.stat()

    def refuse(_descriptor: int, _user: int, _group: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    def of_another_group(path: Path) -> os.stat_result:
        fields = [*before]
        fields[stat.ST_GID] += 1
        return os.stat_result(fields)

    monkeypatch.setattr(os, "fchown", refuse)
    monkeypatch.setattr(Path, "stat", of_another_group)
    write_atomically(path, b"two", keep_mode=True)
    monkeypatch.undo()
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root may give files away")
def test_a_file_that_root_edits_stays_its_owners(tmp_path: Path) -> None:
    """Else the user could not read it any more."""
    path = tmp_path / "file"
    path.write_bytes(b"one")
    os.chown(path, 4711, 4712)
    write_atomically(path, b"two", keep_mode=True)
    assert (path.stat().st_uid, path.stat().st_gid) == (4711, 4712)
