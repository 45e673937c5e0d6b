import stat
from pathlib import Path

import pytest

from sockslocal.desktop import entries
from sockslocal.errors import SockslocalError
from sockslocal.problems import ExitCode


def test_written_with_its_folders(tmp_path: Path) -> None:
    """And replaced the next time; for its user alone."""
    path = tmp_path / "a" / "b" / "entry"
    for content in (b"one", b"two"):
        entries.write(path, content)
        assert path.read_bytes() == content
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_removed_if_it_is_there(tmp_path: Path) -> None:
    """Twice is as good as once."""
    path = tmp_path / "entry"
    path.touch()
    entries.remove(path)
    entries.remove(path)
    assert not path.exists()


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    """It is told why, with the folder that is there to be looked at."""
    (tmp_path / "file").touch()
    with pytest.raises(SockslocalError) as caught:
        entries.write(tmp_path / "file" / "folder" / "entry", b"")
    assert caught.value.exit_code == ExitCode.FAILED
    assert caught.value.problem.text.endswith("it cannot be written: Not a directory")
    assert caught.value.problem.remedy == f"ls -ld {tmp_path / 'file'}"


def test_what_cannot_be_removed(tmp_path: Path) -> None:
    """A folder is no entry."""
    with pytest.raises(SockslocalError) as caught:
        entries.remove(tmp_path)
    assert "it cannot be removed" in caught.value.problem.text
    assert caught.value.problem.remedy == f"rm {tmp_path}"
