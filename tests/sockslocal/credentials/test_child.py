import json
import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

from fakes.processes import pid_in, wait_for_end
from sockslocal.config.model import PasswordKind
from sockslocal.credentials import child, commands
from sockslocal.credentials.messages import Answer, Request, encode
from sockslocal.secret import Secret

CANARY = "k@n:a/r%ie vögel"


def request(source: PasswordKind, argument: str = "", **changes: Any) -> Request:
    """A request to read."""
    fields: dict[str, Any] = {"action": "read", "server": "office", "username": "ana", "deadline": 20}
    return Request(source=source, argument=argument, **fields | changes)


def run(sent: bytes, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """The child as the daemon starts it, but with a stderr to look at."""
    command = [sys.executable, "-P", *options.pop("flags", ()), "-m", "sockslocal.credentials"]
    return subprocess.run(command, input=sent, capture_output=True, check=False, **options)


def secret_file(folder: Path) -> Path:
    """A file with the canary."""
    path = folder / "secret"
    path.write_text(CANARY)
    path.chmod(0o600)
    return path


def test_a_request_is_answered(tmp_path: Path) -> None:
    """The answer is on stdout, alone."""
    process = run(encode(request("file", str(secret_file(tmp_path)))))
    assert json.loads(process.stdout) == {"password": CANARY}
    assert (process.returncode, process.stderr) == (0, b"")


def test_the_keyrings_libraries_stay_out(tmp_path: Path) -> None:
    """For a file or a command they are not imported; nor is asyncio, which the other side needs."""
    for sent in (request("file", str(secret_file(tmp_path))), request("command", "echo pw")):
        process = run(encode(sent), flags=["-X", "importtime"])
        modules = {line.rpartition("|")[2].strip() for line in process.stderr.decode().splitlines()}
        assert "sockslocal.credentials.child" in modules
        assert modules.isdisjoint({"keyring", "secretstorage", "jeepney", "cryptography", "asyncio"})


def test_nonsense_is_no_request() -> None:
    """What is not understood is not done; the traceback goes where stderr goes, and that is nowhere."""
    process = run(b'{"action": "format"}')
    assert process.returncode != 0
    assert process.stdout == b""


def test_of_the_unforeseen_only_the_class_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library's text may have the secret in it."""

    def fail(_: Request) -> bytes:
        raise LookupError(CANARY)

    monkeypatch.setattr(commands, "read_command", fail)
    problem = child.answer(request("command", "pass")).problem
    assert problem is not None
    assert "LookupError was raised" in problem.text
    assert CANARY not in str(problem)


def test_a_systemd_credential_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child looks in the folder that systemd gave the daemon."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    secret_file(tmp_path)
    assert child.answer(request("systemd", "secret")) == Answer(password=Secret(CANARY))


def run_until_it_hangs(file: Path, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """The child with a command that hangs, and that has written its process id into `file`."""
    seconds = 0.4
    while True:  # a slow machine has not started the command by then
        sent = request(
            "command", f"sh -c 'echo $$ > {file}; exec sleep 600'", deadline=seconds - child._GRACE
        )
        process = run(encode(sent), **options)
        if pid_in(file):
            return process
        seconds *= 2


def test_it_ends_by_itself_where_the_daemon_is_gone(tmp_path: Path) -> None:
    """Nobody else would end a command that hangs; the command goes too."""
    file = tmp_path / "pid"
    assert run_until_it_hangs(file, start_new_session=True).returncode == -signal.SIGKILL
    wait_for_end(file)


def test_it_kills_no_group_that_is_not_its_own(tmp_path: Path) -> None:
    """Where a terminal started it, that one's other processes live on: here the command."""
    file = tmp_path / "pid"
    assert run_until_it_hangs(file).returncode == 1
    pid = pid_in(file)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)  # it is there to be killed


def test_no_traceback_shows_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one with the values of all local variables, should the wrong thing be raised."""

    def fail(_: Request) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "read_command", fail)
    try:
        child.answer(request("command", "pass", password=Secret(CANARY)))
    except KeyboardInterrupt as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "action='read'" in shown
    assert CANARY not in shown
