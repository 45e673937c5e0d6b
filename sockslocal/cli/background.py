"""The daemon as a process: started detached, and waited for until it is gone."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import sockslocal
from sockslocal.cli import prompts
from sockslocal.control.client import Client
from sockslocal.errors import ControlError, SockslocalError
from sockslocal.paths import Paths
from sockslocal.problems import ExitCode, problem
from sockslocal.secret import Secret
from sockslocal.status import Status

START_SECONDS = 20.0
"""For the daemon to answer; it does not wait for servers or keyrings."""

_POLL = 0.05
_LAST_WORDS = 8192
_EXIT_SECONDS = 2.0  # from letting go of the lock to the end of the process
_MARGIN_SECONDS = 10.0  # over the grace
_DEAF = {"not-answering", "control-closed", "control-busy"}


class StartFailedError(SockslocalError):
    """The daemon ended while starting, with the exit status `code`; `words` is what it said itself."""

    def __init__(self, words: str, code: int) -> None:
        lines = words.strip().splitlines()
        reason = lines[-1] if lines else f"its exit status was {code} and it said nothing"
        super().__init__(problem("start-failed", reason=reason))
        self.words = lines
        self.code = code

    @property
    def exit_code(self) -> ExitCode:
        known = {int(code) for code in ExitCode} - {ExitCode.DONE}
        return ExitCode(self.code) if self.code in known else ExitCode.FAILED


def launch(paths: Paths, level: str, secrets: dict[str, Secret]) -> Status:
    """Start the daemon, and its status once it answers.

    Raises StartFailedError where it ends instead, ControlError `not-answering` where it does neither.
    """
    with _last_words(paths.state) as words:
        process = _spawn(paths, level, words)
        assert process.stdin is not None  # noqa: S101  for mypy: it is a pipe
        with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
            stdin.write(prompts.dump(secrets))
        status = _wait_for_answer(paths, process, words)
    process.returncode = 0  # it is to outlive this object, which would complain
    return status


@contextlib.contextmanager
def leashed(paths: Paths, secrets: dict[str, Secret]) -> Iterator[Status]:
    """A daemon, and its status once it answers, until the end of the block, or of this process.

    It is ended at once, whatever it is doing. Raises as `launch` does.
    """
    with (
        _last_words(paths.state) as words,
        _spawn(paths, "info", words, "--until-stdin-ends") as process,
    ):
        assert process.stdin is not None  # noqa: S101  for mypy: it is a pipe
        try:
            process.stdin.write(prompts.dump(secrets))
            process.stdin.flush()
            yield _wait_for_answer(paths, process, words)
        finally:
            process.kill()


@contextlib.contextmanager
def _last_words(folder: Path) -> Iterator[IO[bytes]]:
    """Where stdout and stderr of the daemon go, beside its log; it says little there once it runs."""
    path = folder / "sockslocal.out"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        reason = f"cannot be written to: {error.strerror}"
        remedy = "point SOCKSLOCAL_STATE_DIR at a folder of your own"
        raise SockslocalError.of("folder-unsafe", path=folder, reason=reason, remedy=remedy) from None
    with os.fdopen(descriptor, "r+b") as file:
        yield file


def _spawn(paths: Paths, level: str, output: IO[bytes], *options: str) -> subprocess.Popen[bytes]:
    places = {
        "SOCKSLOCAL_RUNTIME_DIR": str(paths.runtime.absolute()),
        "SOCKSLOCAL_STATE_DIR": str(paths.state.absolute()),
    }
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
    return subprocess.Popen(
        [
            *(sys.executable, *_safe_path(), "-m", "sockslocal", "run"),
            *("--config", str(paths.config.absolute())),
            *("--level", level, "--log-to-file", "--secrets-from-stdin", *options),
        ],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        env={**os.environ, **places},
        start_new_session=True,
        creationflags=flags,
    )


def _safe_path() -> tuple[str, ...]:
    """`-P`, or the daemon would import the modules of whoever can write to the current folder.

    Not where this very package was imported from there.
    """
    here = Path(sockslocal.__file__).parent.parent
    return () if here == Path.cwd() else ("-P",)


def _wait_for_answer(paths: Paths, process: subprocess.Popen[bytes], words: IO[bytes]) -> Status:
    client = Client(paths, deadline=START_SECONDS)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(ControlError):
            return client.status()
        if process.poll() is not None:
            words.seek(0)
            raise StartFailedError(words.read(_LAST_WORDS).decode(errors="replace"), process.returncode)
        time.sleep(_POLL)
    process.kill()
    process.wait()
    raise ControlError.of("not-answering", pid=process.pid, seconds=START_SECONDS)


def stop(paths: Paths, grace: float) -> int | None:
    """Stop the daemon and wait until it is gone; the process it was, None where there was none.

    One that does not answer is terminated, and killed if that does not help.
    """
    client = Client(paths)
    pid = client.pid()
    if pid is None:
        return None
    with _process(pid) as process:
        _ask_to_stop(client, pid, grace)
        if not _is_gone(client, pid, grace + _MARGIN_SECONDS):
            _kill(pid)
            if not _is_gone(client, pid, _MARGIN_SECONDS):
                seconds = grace + 2 * _MARGIN_SECONDS
                raise ControlError.of("not-answering", pid=pid or "unknown", seconds=seconds)
        _await_exit(process)
    return pid


def wait_until_gone(paths: Paths, pid: int, seconds: float) -> None:
    """Wait for the process `pid`, which is stopping, for `seconds` and what its end takes.

    Raises ControlError where that is not enough.
    """
    with _process(pid) as process:
        if not _is_gone(Client(paths), pid, seconds + _MARGIN_SECONDS):
            raise ControlError.of("still-stopping", pid=pid)
        _await_exit(process)


def _ask_to_stop(client: Client, pid: int, grace: float) -> None:
    try:
        client.call("stop", grace=grace)
    except ControlError as error:
        if error.problem.code == "not-running":
            return  # it ended by itself just now
        if error.problem.code not in _DEAF or client.pid() != pid:
            raise
        _signal(pid, signal.SIGTERM)


def _kill(pid: int) -> None:
    if sys.platform == "win32":
        _signal(pid, signal.SIGTERM)  # there it is no request but the end
    else:
        _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: int) -> None:
    if pid > 0:  # 0, for a process that is not known, would be our own process group
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _is_gone(client: Client, pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while client.pid() == pid:  # a service manager may have started the next one
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


def _await_exit(process: int | None) -> None:
    """It has let go of the lock; a moment later it is gone."""
    if process is not None:
        select.select([process], [], [], _EXIT_SECONDS)


@contextlib.contextmanager
def _process(pid: int) -> Iterator[int | None]:
    """A descriptor that can be read once the process has ended, where there is such a thing."""
    descriptor = None
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)
