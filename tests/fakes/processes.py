"""Looking at processes from outside (Linux)."""

from pathlib import Path

from fakes.waiting import wait_until


def pid_in(file: Path) -> int | None:
    """The process id that a process wrote into `file`; None as long as the line is not complete."""
    text = file.read_text() if file.exists() else ""
    return int(text) if text.endswith("\n") else None


def has_ended(pid: int) -> bool:
    """Whether the process is gone; one that only its parent's attention is missing to (a zombie) is."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


def wait_for_end(file: Path, *, seconds: float = 5) -> None:
    """Return as soon as the process whose id is in `file` has ended; fail when it does not in `seconds`."""
    pid = pid_in(file)
    assert pid is not None, f"no process id in {file}"
    wait_until(lambda: has_ended(pid), seconds=seconds, what=f"the end of {file.name}, process {pid}")
