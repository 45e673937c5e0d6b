import io
from typing import Any

import pytest

from fakes.cli import CommandLine
from fakes.control import fake_daemon, status
from sockslocal import credentials
from sockslocal.errors import CredentialsError
from sockslocal.paths import Paths
from sockslocal.problems import problem
from sockslocal.secret import Secret
from sockslocal.status import Server, Tunnel

CONFIG = """\
[server.office]
address = "proxy:1080"
username = "ana"
[server.open]
address = "proxy:1081"
[server.file]
address = "proxy:1082"
username = "ana"
password_from = "file:/run/secrets/proxy"
[server.pass]
address = "proxy:1083"
username = "ana"
password_from = "command:pass --token=hunter2"
"""


class FakeKeyring:
    """What was stored and deleted; `error` is raised instead."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.error: Exception | None = None

    def store(self, server: str, username: str, password: Secret) -> None:
        self._note("store", server, username, password.reveal())

    def delete(self, server: str, username: str) -> None:
        self._note("delete", server, username)

    def _note(self, *call: object) -> None:
        if self.error is not None:
            raise self.error
        self.calls.append(call)


@pytest.fixture
def keyring(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> FakeKeyring:
    """A keyring, a terminal where somebody types `hunter2`, and a configuration."""
    paths.config.write_text(CONFIG)
    fake = FakeKeyring()
    monkeypatch.setattr(credentials, "store", fake.store)
    monkeypatch.setattr(credentials, "delete", fake.delete)
    monkeypatch.setattr(credentials, "ask", lambda _server, _username: Secret("hunter2"))
    return fake


def type_in(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """Pipe `content` into the command."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))


async def _accept(_parameters: dict[str, Any]) -> object:
    return {"changed": []}


def test_the_password_of_the_first_server_is_asked_for(cli: CommandLine, keyring: FakeKeyring) -> None:
    """And stored for its user; it is not shown."""
    done = cli("login")
    assert done == (0, "", "the password of ana at office is in the keyring\n")
    assert keyring.calls == [("store", "office", "ana", "hunter2")]


def test_the_password_may_be_piped_in(
    cli: CommandLine, keyring: FakeKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Less one newline at its end."""
    type_in(monkeypatch, "pä@:/% \n".encode())
    assert cli("login", "office", "--stdin").code == 0
    assert keyring.calls == [("store", "office", "ana", "pä@:/% ")]


def test_an_empty_password_is_stored_with_a_word(
    cli: CommandLine, keyring: FakeKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some servers want it; most often it is a mistake."""
    type_in(monkeypatch, b"\n")
    done = cli("login", "--stdin")
    assert done.code == 0
    assert "the password is empty" in done.err
    assert keyring.calls == [("store", "office", "ana", "")]


def test_one_that_cannot_be_sent_is_not_stored(
    cli: CommandLine, keyring: FakeKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than 255 octets do not fit into the protocol."""
    type_in(monkeypatch, b"x" * 256)
    done = cli("login", "--stdin")
    assert done.code == 5
    assert "x" * 20 not in done.err
    assert keyring.calls == []


@pytest.mark.parametrize("command", ["login", "logout"])
@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("nope", (2, 'there is no server "nope"; known are "office", "open", "file", "pass"')),
        ("open", (4, "[server.open] has no username")),
        ("file", (4, "its place is /run/secrets/proxy")),
        ("pass", (4, 'its place is the command "pass"\n')),
    ],
)
def test_only_what_is_in_the_keyring_can_be_put_there(
    cli: CommandLine, keyring: FakeKeyring, command: str, server: str, expected: tuple[int, str]
) -> None:
    """Otherwise it is said where the password is; nobody is asked for one."""
    done = cli(command, server)
    assert done.code == expected[0]
    assert expected[1] in done.err
    assert keyring.calls == []


def test_without_servers_there_is_nobody_to_log_in(cli: CommandLine, paths: Paths) -> None:
    """The next command is told."""
    paths.config.write_text("")
    done = cli("login")
    assert done.code == 4
    assert done.err.startswith("error: there is no server to log in to\n")
    assert done.err.endswith("  help: sockslocal server add office ADDRESS --username USER\n")


def test_a_keyring_that_fails_is_an_error(cli: CommandLine, keyring: FakeKeyring) -> None:
    """With the exit code of credentials."""
    keyring.error = CredentialsError(problem("internal", reason="x"))
    assert cli("login").code == 1
    keyring.error = CredentialsError.of("password-invalid", server="office", reason="x", remedy="y")
    assert cli("login").code == 5
    assert cli("logout").code == 5


def test_logging_out_deletes(cli: CommandLine, keyring: FakeKeyring) -> None:
    """The password of that user at that server, and no other."""
    assert cli("logout").err == "the password of ana at office is no longer in the keyring\n"
    assert keyring.calls == [("delete", "office", "ana")]


def test_a_running_daemon_logs_in_and_says_how_it_went(
    cli: CommandLine, keyring: FakeKeyring, paths: Paths
) -> None:
    """A wrong password is known at once, with the exit code of credentials."""
    handlers = {"reload": _accept, "credentials.changed": _accept}
    with fake_daemon(paths, handlers, first=status(servers={"office": Server("proxy:1080", "up")})) as daemon:
        done = cli("login")
        assert ("credentials.changed", {"server": "office"}) in daemon.calls
    assert done.code == 0
    assert done.err.endswith("is in the keyring\noffice accepts it\n")
    rejected = problem("auth-failed", address="proxy:1080", username="ana", remedy="sockslocal login office")
    failed = status(servers={"office": Server("proxy:1080", "auth-failed", problem=rejected)})
    with fake_daemon(paths, handlers, first=failed):
        done = cli("login")
    assert done.code == 5
    assert f"is in the keyring\nerror: {rejected.text}\n" in done.err


def test_a_daemon_that_does_not_know_yet_says_so(
    cli: CommandLine, keyring: FakeKeyring, paths: Paths
) -> None:
    """Behind a tunnel that is off nobody logs in."""
    first = status(servers={"office": Server("proxy:1080", "unknown")}, tunnel=Tunnel(on=False))
    with fake_daemon(paths, {"reload": _accept, "credentials.changed": _accept}, first=first):
        done = cli("login")
    assert done.code == 0
    assert done.err.endswith("whether office accepts it is not known yet: sockslocal status\n")


def test_a_running_daemon_hears_of_a_logout(cli: CommandLine, keyring: FakeKeyring, paths: Paths) -> None:
    """That it cannot log in any more is no error then."""
    handlers = {"reload": _accept, "credentials.changed": _accept}
    with fake_daemon(paths, handlers) as daemon:
        assert cli("logout").code == 0
        assert ("credentials.changed", {"server": "office"}) in daemon.calls
