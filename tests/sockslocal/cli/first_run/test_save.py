import io
import stat
from typing import Any

import pytest

from fakes.control import fake_daemon, status, using
from fakes.person import Script
from sockslocal import credentials
from sockslocal.address import Endpoint
from sockslocal.cli import background
from sockslocal.cli.first_run import save
from sockslocal.cli.first_run.plan import ForwardAnswer, Plan, ServerAnswer
from sockslocal.config.rewrite import Setting
from sockslocal.errors import ConfigError, CredentialsError
from sockslocal.paths import Paths
from sockslocal.problems import problem
from sockslocal.secret import Secret
from sockslocal.status import Server

NONE = CredentialsError.of(
    "password-source-failed", server="office", done="stored in", where="x", reason="none", remedy="x"
)


def plan(password_from: str | None, **table: Setting) -> Plan:
    """A server with a new password."""
    server = ServerAnswer(
        name="office",
        address=Endpoint("proxy", 1080),
        username="ana",
        password=Secret("hunter2"),
        table=table,
    )
    return Plan(server=server, password_from=password_from)


def broken(plan: Plan) -> Plan:
    """Made such that the file cannot have it."""
    plan.forward = ForwardAnswer(kind="tcp", name="dns", port=5432, to=Endpoint("a", 1))
    return plan


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What a keyring was told."""
    calls: list[tuple[str, str]] = []
    monkeypatch.setattr(credentials, "store", lambda name, _user, _secret: calls.append(("store", name)))
    monkeypatch.setattr(credentials, "delete", lambda name, _user: calls.append(("delete", name)))
    return calls


def test_the_keyring_and_the_file(kept: list[tuple[str, str]], paths: Paths) -> None:
    """The password is in the one and not in the other."""
    save.save(plan("keyring"), paths.config)
    assert kept == [("store", "office")]
    assert paths.config.read_text() == '[server.office]\naddress = "proxy:1080"\nusername = "ana"\n'


def test_a_file_of_its_own(paths: Paths) -> None:
    """For the user alone, who is told where it is."""
    path = paths.config.parent / "office.password"
    save.save(plan(f"file:{path}"), paths.config)
    assert path.read_text() == "hunter2\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert f'password_from = "file:{path}"' in paths.config.read_text()


def test_a_password_that_is_asked_for_is_nowhere(kept: list[tuple[str, str]], paths: Paths) -> None:
    """Neither is one that stays where it is."""
    save.save(plan("prompt"), paths.config)
    assert "hunter2" not in paths.config.read_text()
    assert kept == []


def test_a_keyring_that_fails_at_the_end(
    answers: Script, monkeypatch: pytest.MonkeyPatch, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    """The person may try it once more, and decide for something else."""

    def fail(*_: object) -> None:
        raise NONE

    monkeypatch.setattr(credentials, "store", fail)
    answers("k", "a")
    save.save(plan("keyring"), paths.config)
    assert 'password_from = "prompt"' in paths.config.read_text()
    assert capsys.readouterr().err.count("could not be stored") == 2


def test_ctrl_c_while_the_keyring_is_asked(
    answers: Script, monkeypatch: pytest.MonkeyPatch, paths: Paths
) -> None:
    """Nothing was saved yet."""

    def fail(*_: object) -> None:
        raise NONE

    monkeypatch.setattr(credentials, "store", fail)
    with pytest.raises(KeyboardInterrupt):
        save.save(plan("keyring"), paths.config)
    assert not paths.config.exists()


def test_a_file_that_cannot_be_written(kept: list[tuple[str, str]], paths: Paths) -> None:
    """Takes the password with it, unless that has replaced another one."""
    path = paths.config.parent / "office.password"
    for where in ("keyring", f"file:{path}"):
        with pytest.raises(ConfigError):
            save.save(broken(plan(where)), paths.config)
    assert kept == [("store", "office"), ("delete", "office")]
    assert not path.exists()
    kept.clear()
    with pytest.raises(ConfigError):
        save.save(broken(plan("keyring", username="ana")), paths.config)
    assert kept == [("store", "office")]


def test_a_password_file_that_cannot_be_written(paths: Paths) -> None:
    """Is an error, and nothing is saved."""
    path = paths.config.parent / "file" / "office.password"
    path.parent.touch()
    with pytest.raises(ConfigError) as caught:
        save.save(plan(f"file:{path}"), paths.config)
    assert caught.value.problem.code == "config-unwritable"
    assert not paths.config.exists()


async def _accept(_parameters: dict[str, Any]) -> object:
    return {"changed": []}


def test_a_running_daemon_hears_of_it(paths: Paths) -> None:
    """And logs in anew."""
    first = status(servers={"office": Server("proxy:1080", "up")}, daemon=using(paths.config))
    handlers = {"reload": _accept, "credentials.changed": _accept}
    with fake_daemon(paths, handlers, first=first) as daemon:
        assert save.start(plan("keyring"), paths) == first
        assert ("credentials.changed", {"server": "office"}) in daemon.calls


def test_a_daemon_with_another_file_goes_on(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told of."""
    first = status(daemon=using(paths.config.with_name("other.toml")))
    with fake_daemon(paths, first=first):
        assert save.start(plan("keyring"), paths) is None
    assert "uses another configuration" in capsys.readouterr().err


@pytest.mark.parametrize(("where", "handed"), [("prompt", {"office": Secret("hunter2")}), ("keyring", {})])
def test_a_daemon_is_started(
    monkeypatch: pytest.MonkeyPatch,
    kept: list[tuple[str, str]],
    paths: Paths,
    where: str,
    handed: dict[str, Secret],
) -> None:
    """It is handed what was typed already, if nobody else has it."""
    now = status(servers={"office": Server("proxy:1080", "up")})
    given = []

    def launch(_paths: Paths, _level: str, secrets: dict[str, Secret]) -> object:
        given.append(secrets)
        return now

    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr(background, "launch", launch)
    monkeypatch.setattr(save, "settled", lambda _client, _seconds: now)
    saved = plan(where)
    save.save(saved, paths.config)
    assert save.start(saved, paths) == now
    assert given == [handed]


@pytest.mark.parametrize("seconds", [60.0, -1.0])
def test_a_password_that_is_awaited(monkeypatch: pytest.MonkeyPatch, paths: Paths, seconds: float) -> None:
    """Is waited for, but not without end."""
    awaited = problem("password-awaited", server="office", reason="it did not come within 3.5 s")
    slow = status(servers={"office": Server("proxy:1080", "connecting", problem=awaited)})
    states = iter([slow, status(servers={"office": Server("proxy:1080", "up")})])
    monkeypatch.setattr(save, "SETTLE_S", seconds)
    monkeypatch.setattr(save, "settled", lambda _client, _seconds: next(states))
    monkeypatch.setattr(save, "reload", lambda _paths: slow)
    handlers = {"credentials.changed": _accept}
    with fake_daemon(paths, handlers, first=slow):
        found = save.start(plan("keyring"), paths)
    assert found is not None
    assert found.servers["office"].state == ("up" if seconds > 0 else "connecting")


def test_starting_at_login(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    """What hinders that is told, and nothing more."""
    save.start_at_login(paths.config)
    assert "start at login" in capsys.readouterr().err


def test_what_hinders_starting_at_login(
    paths: Paths, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is told, and nothing more."""
    paths.config.touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(paths.config))
    save.start_at_login(paths.config)
    assert capsys.readouterr().err.startswith("error: what starts at login stays as it is")
