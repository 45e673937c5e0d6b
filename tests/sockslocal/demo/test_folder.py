"""The demo's folder, and those of demos that were killed."""

import subprocess
import sys
from pathlib import Path

import pytest

from fakes.control import fake_daemon
from sockslocal import locks
from sockslocal.demo.folder import PREFIX, temporary_folder
from sockslocal.demo.setting import paths_in


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the folders are made."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def abandoned() -> Path:
    """A folder with files in it, whose process was killed."""
    code = (
        "import os; from sockslocal.demo.folder import temporary_folder\n"
        "with temporary_folder() as folder:\n"
        "    (folder / 'run').mkdir(); (folder / 'run' / 'lock').touch(mode=0o600)\n"
        "    (folder / 'run').chmod(0o700)\n"
        "    print(folder, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    left = Path(done.stdout.strip())
    assert left.is_dir()
    return left


def test_it_is_this_users_alone_and_gone_afterwards(temporary: Path) -> None:
    """With all that was put into it."""
    with temporary_folder() as folder:
        assert folder.parent == temporary
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "deep").mkdir()
        (folder / "deep" / "file").touch()
    assert [*temporary.iterdir()] == []


def test_what_a_killed_demo_left_is_removed(temporary: Path) -> None:
    """By the next one, which leaves alone what is in use."""
    left = abandoned()
    with temporary_folder() as first:
        assert not left.exists()
        with temporary_folder() as second:
            assert first.is_dir()
            assert second != first
    assert [*temporary.iterdir()] == []


def test_a_daemon_that_still_runs_keeps_its_folder() -> None:
    """It may be about to end; a later demo finds it then."""
    left = abandoned()
    with fake_daemon(paths_in(left)), temporary_folder():
        assert left.is_dir()
    with temporary_folder():
        assert not left.exists()


def test_what_cannot_be_asked_is_left_alone(temporary: Path) -> None:
    """Whether a daemon runs there; it keeps no other demo from beginning."""
    left = abandoned()
    (left / "run").chmod(0o755)
    with temporary_folder():
        pass
    assert left.is_dir()


def test_what_is_no_demos_is_left_alone(temporary: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A link, a file, a folder without a lock, and one that others may write to."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "demo.lock").touch()
    (temporary / f"{PREFIX}link").symlink_to(elsewhere)
    (temporary / f"{PREFIX}file").touch()
    for name, mode in (("new", 0o700), ("open", 0o777)):
        (temporary / f"{PREFIX}{name}").mkdir()
        (temporary / f"{PREFIX}{name}").chmod(mode)
    (temporary / f"{PREFIX}open" / "demo.lock").touch()
    before = sorted(temporary.iterdir())
    with temporary_folder():
        pass
    assert sorted(temporary.iterdir()) == before
    assert (elsewhere / "demo.lock").exists()


def test_one_that_is_taken_away_at_birth_is_made_again(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between making its lock and holding it, another demo may take it for abandoned."""
    acquire = locks.acquire
    taken: list[Path] = []

    def too_late(descriptor: int) -> bool:
        if not taken:
            (folder,) = temporary.iterdir()
            taken.append(folder)
            (folder / "demo.lock").unlink()
            folder.rmdir()
        return acquire(descriptor)

    monkeypatch.setattr(locks, "acquire", too_late)
    with temporary_folder() as folder:
        assert folder.is_dir()
        assert not taken[0].exists()
    assert [*temporary.iterdir()] == []
