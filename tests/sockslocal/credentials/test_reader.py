import asyncio
import shlex
import socket
import struct
import sys
import threading
import traceback
from pathlib import Path

import pytest

from fakes.processes import pid_in, wait_for_end
from sockslocal import credentials
from sockslocal.address import Endpoint
from sockslocal.config.model import PasswordKind, PasswordSource, ServerConfig
from sockslocal.credentials import process
from sockslocal.errors import CredentialsError
from sockslocal.problems import Problem
from sockslocal.secret import Secret

CANARY = 'k@n:a/r%i"e\\ vögel🐤'

PASSWORDS = [
    CANARY,
    "",
    " ",
    "%s%d{}$HOME`id`",
    "tab\tbell\a",
    "'quoted' \"twice\"",
    "пароль密码",
    "x" * 255,
    "ä" * 127 + "x",
]


def server(kind: PasswordKind, argument: object = "") -> ServerConfig:
    """A server whose password comes from there."""
    source = PasswordSource(kind, str(argument))
    return ServerConfig(
        name="office", address=Endpoint("proxy.test", 1080), username="ana", password_from=source
    )


def read(kind: PasswordKind, argument: object = "", *, deadline: float = 20) -> str:
    """The password that comes from there."""
    return asyncio.run(credentials.read(server(kind, argument), deadline=deadline)).reveal()


def refusal(kind: PasswordKind, argument: object = "", *, deadline: float = 20) -> Problem:
    """Why none comes from there; neither the error nor its traceback with all local variables shows one."""
    with pytest.raises(CredentialsError) as caught:
        read(kind, argument, deadline=deadline)
    trace = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert CANARY not in "".join(trace.format())
    assert CANARY not in repr(caught.value)
    return caught.value.problem


def secret_file(folder: Path, text: str, ending: str = "\n") -> Path:
    """A file with `text`, as it should be."""
    path = folder / "secret"
    path.write_bytes((text + ending).encode())
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("text", PASSWORDS)
def test_a_file_gives_every_password_exactly(text: str, tmp_path: Path) -> None:
    """Any character, up to 255 octets."""
    assert read("file", secret_file(tmp_path, text)) == text


def test_a_command_gives_every_password_exactly(tmp_path: Path) -> None:
    """The same through one more pipe."""
    for text in PASSWORDS:
        path = shlex.quote(str(secret_file(tmp_path, text)))
        assert read("command", f"cat {path}") == text


def test_256_octets_cannot_be_sent(tmp_path: Path) -> None:
    """RFC 1929 cannot carry them; the error says how many there are, and not which."""
    problem = refusal("file", secret_file(tmp_path, CANARY + "x" * (256 - len(CANARY.encode()))))
    assert problem.code == "password-invalid"
    assert "256 octets" in problem.text


def test_a_failing_command_is_told_without_its_output(tmp_path: Path) -> None:
    """Half a secret is one too."""
    path = shlex.quote(str(secret_file(tmp_path, CANARY)))
    problem = refusal("command", f"sh -c 'cat {path}; cat {path} >&2; exit 9'")
    assert problem.code == "password-source-failed"
    assert "exit status 9" in problem.text


def test_a_hanging_command_is_ended_at_the_deadline(tmp_path: Path) -> None:
    """It is told as such, and the command is gone."""
    file = tmp_path / "pid"
    deadline = 0.5
    while not pid_in(file):  # a slow machine has not started it by then
        problem = refusal("command", f"sh -c 'echo $$ > {file}; exec sleep 600'", deadline=deadline)
        deadline *= 2
    assert problem.code == "password-source-failed"
    assert "nothing came within" in problem.text
    wait_for_end(file)


def test_a_prompted_password_comes_from_memory() -> None:
    """No child is asked; without one in memory the daemon must be started anew, to ask."""
    secret = Secret(CANARY)
    assert asyncio.run(credentials.read(server("prompt"), prompted={"office": secret})) is secret
    problem = refusal("prompt")
    assert problem.code == "password-missing"
    assert problem.remedy == "sockslocal restart"


def test_without_a_bus_there_is_no_keyring() -> None:
    """A machine without a desktop says so at once, names what else there is, and falls back to nothing."""
    problem = refusal("keyring")
    assert problem.code == "password-source-failed"
    assert "no keyring can be reached" in problem.text
    assert 'password_from = "file:/path"' in problem.remedy


@pytest.mark.parametrize(
    "code", ["", "print('{')", "print('x' * 100_000)", "import os; os.kill(os.getpid(), 9)"]
)
def test_a_child_gone_wrong_is_an_error(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it says, or fails to say."""
    monkeypatch.setattr(process, "child_command", lambda: [sys.executable, "-c", code])
    assert "the process that asks there ended with status" in refusal("keyring").text


def test_a_child_that_cannot_be_started_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon lives on, and tells."""
    monkeypatch.setattr(process, "child_command", lambda: ["/nonexistent/python"])
    assert "no process can be started: No such file or directory" in refusal("keyring").text


def test_too_long_a_password_is_not_stored() -> None:
    """It is refused before any keyring is asked."""
    with pytest.raises(CredentialsError, match="256 octets"):
        credentials.store("office", "ana", Secret("x" * 256))


def visible(pid: int) -> bytes:
    """All that other processes may see of the process `pid`, and what stands in its environment."""
    folder = Path("/proc", str(pid))
    seen = (folder / "cmdline").read_bytes()
    try:
        return seen + (folder / "environ").read_bytes()
    except PermissionError:  # it is hardened: only root can
        return seen


@pytest.fixture
def silent_bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """A session bus that takes connections and says nothing."""
    bus = socket.socket(socket.AF_UNIX)
    bus.bind(str(tmp_path / "bus"))
    bus.listen()
    bus.settimeout(20)
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={tmp_path}/bus")
    return bus


def test_a_stored_password_shows_nowhere(silent_bus: socket.socket) -> None:
    """Not in the child's arguments nor its environment, looked at while it is at work; not in the error."""
    errors: list[CredentialsError] = []

    def store() -> None:
        try:
            credentials.store("office", "ana", Secret(CANARY), deadline=20)
        except CredentialsError as error:
            errors.append(error)

    thread = threading.Thread(target=store)
    thread.start()
    with silent_bus, silent_bus.accept()[0] as connection:
        pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        seen = visible(pid)
    thread.join()
    assert b"sockslocal.credentials" in seen
    assert CANARY.encode() not in seen
    assert errors[0].problem.code == "password-source-failed"
    trace = traceback.TracebackException.from_exception(errors[0], capture_locals=True)
    assert CANARY not in "".join(trace.format())


def test_the_process_that_reads_is_hardened(tmp_path: Path) -> None:
    """While the command runs, the child that waits for it can neither be dumped nor leave a core."""
    report = tmp_path / "report"
    path = secret_file(tmp_path, CANARY)
    look = f"(grep core /proc/$PPID/limits; stat -c %u /proc/$PPID/environ) > {report}"
    script = f"{look}; cat {path}"
    assert read("command", f"sh -c {shlex.quote(script)}") == CANARY
    lines = report.read_text().splitlines()
    assert lines[0].split()[-3:-1] == ["0", "0"]
    assert lines[1] == "0"  # undumpable: what is in /proc belongs to root
