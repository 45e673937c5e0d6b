import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.descriptors import open_descriptors
from sockslocal.control.folder import Folder
from sockslocal.errors import ControlError
from sockslocal.problems import ExitCode


def opened(path: Path) -> ControlError:
    """The error of opening `path` as the run-time folder, which must be `folder-unsafe`."""
    with pytest.raises(ControlError) as caught:
        Folder(path, create=True)
    assert caught.value.problem.code == "folder-unsafe"
    assert caught.value.exit_code == ExitCode.PERMISSION
    assert str(path) in caught.value.problem.text
    return caught.value


def test_a_missing_folder_is_made_for_its_user_alone(tmp_path: Path) -> None:
    """The folder and the parents that had to be made are 0700, whatever the umask."""
    before = os.umask(0)
    try:
        Folder(tmp_path / "a" / "run", create=True).close()
    finally:
        os.umask(before)
    for folder in (tmp_path / "a", tmp_path / "a" / "run"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_without_create_a_missing_folder_stays_missing(tmp_path: Path) -> None:
    """A client makes nothing."""
    with pytest.raises(FileNotFoundError):
        Folder(tmp_path / "run", create=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("mode", [0o701, 0o710, 0o750, 0o755, 0o777, 0o1777])
def test_a_folder_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    """One bit for others is too much; the remedy is the command, and nothing was changed."""
    path = tmp_path / "run"
    path.mkdir()
    path.chmod(mode)
    error = opened(path)
    assert f"(mode {mode:04o})" in error.problem.text
    assert error.problem.remedy == f"chmod 700 {path}"
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert list(path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    """Even one that is closed to all others."""
    path = tmp_path / "run"
    path.mkdir(mode=0o700)
    os.chown(path, 65534, 65534)
    assert "belongs to user 65534" in opened(path).problem.text


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    """What the link leads to is not touched, and not made where it is missing."""
    target = tmp_path / "target"
    target.mkdir(mode=0o700)
    (tmp_path / "run").symlink_to(target)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    assert "symbolic link" in opened(tmp_path / "run").problem.text
    assert list(target.iterdir()) == []
    opened(tmp_path / "dangling")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("plant", [os.mkfifo, Path.touch])
def test_what_is_no_folder_is_refused(tmp_path: Path, plant: Callable[[Path], None]) -> None:
    """A pipe or a file in the folder's place is neither waited for nor replaced."""
    plant(tmp_path / "run")
    before = (tmp_path / "run").lstat()
    opened(tmp_path / "run")
    with pytest.raises(ControlError):
        Folder(tmp_path / "run", create=False)
    assert (tmp_path / "run").lstat() == before


def test_a_folder_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    """Whatever the system says stands in the text."""
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    assert "not a folder" in opened(tmp_path / "dangling" / "run").problem.text
    assert "not a folder" in opened(tmp_path / "file" / "run").problem.text
    assert "name too long" in opened(tmp_path / ("x" * 300)).problem.text


def test_files_are_written_whole_and_for_the_user_alone(tmp_path: Path) -> None:
    """A file is replaced in one step; what was left of an attempt before does not matter."""
    with Folder(tmp_path / "run", create=True) as folder:
        (tmp_path / "run" / "note.new").write_text("left by a crash")
        folder.write_file("note", b"one")
        folder.write_file("note", b"two")
    assert [(file.name, file.read_bytes()) for file in (tmp_path / "run").iterdir()] == [("note", b"two")]
    assert stat.S_IMODE((tmp_path / "run" / "note").stat().st_mode) == 0o600


def test_planted_files_are_refused_and_their_targets_untouched(tmp_path: Path) -> None:
    """A link, a pipe, a second name of another file, a folder, a file open to others: none is opened."""
    target = tmp_path / "precious"
    target.write_text("precious")
    with Folder(tmp_path / "run", create=True) as folder:
        inside = tmp_path / "run"
        (inside / "link").symlink_to(target)
        os.mkfifo(inside / "pipe", 0o600)
        (inside / "second").hardlink_to(target)
        (inside / "folder").mkdir()
        (inside / "open").touch(mode=0o600)
        (inside / "open").chmod(0o644)
        for name in ("link", "pipe", "second", "folder", "open"):
            with pytest.raises(ControlError) as caught:
                folder.open_file(name, os.O_RDONLY)
            assert caught.value.problem.code == "folder-unsafe"
            assert caught.value.problem.remedy == f"rm {inside / name}"
            with pytest.raises(ControlError):
                folder.open_file(name, os.O_RDWR | os.O_CREAT)
    assert target.read_text() == "precious"


def test_opening_leaks_no_descriptor(tmp_path: Path) -> None:
    """Each refusal closes what it had opened."""
    (tmp_path / "run").mkdir(mode=0o755)
    (tmp_path / "run").chmod(0o755)
    with Folder(tmp_path / "good", create=True) as folder:
        os.mkfifo(tmp_path / "good" / "pipe")
        before = open_descriptors()
        for _ in range(5):
            opened(tmp_path / "run")
            with pytest.raises(ControlError):
                folder.open_file("pipe", os.O_RDWR)
        assert open_descriptors() == before
