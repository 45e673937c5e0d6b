from collections.abc import Sequence
from typing import Any, get_args

import pytest

from fakes.control import fake_daemon
from fakes.face import FakeFace
from fakes.programs import Programs
from fakes.waiting import wait_until
from sockslocal.paths import Paths
from sockslocal.secret import Secret
from sockslocal_tray import clipboard, commands, dialogs
from sockslocal_tray.actions import Action, Verb
from sockslocal_tray.commands import Outcome
from sockslocal_tray.perform import Performer, lane_of


class Commands:
    """Instead of child processes: what was run, and how that ends."""

    def __init__(self) -> None:
        self.runs: list[tuple[list[str], Secret | None]] = []
        self.outcome = Outcome(0, "")

    def run(self, command: Sequence[str], secret: Secret | None = None, **_more: Any) -> Outcome:
        self.runs.append(([*command], secret))
        return self.outcome

    @property
    def words(self) -> list[str]:
        """What followed `sockslocal --config PATH`, of the only one."""
        ((command, _),) = self.runs
        return command[6:]


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Commands:
    """No command is really run."""
    made = Commands()
    monkeypatch.setattr(commands, "run", made.run)
    return made


@pytest.fixture
def perform(paths: Paths, face: FakeFace) -> Performer:
    """With an icon that nobody sees."""
    return Performer(paths, face)


def test_every_verb_is_known(perform: Performer) -> None:
    """Whatever is in a menu can be done."""
    assert perform._deeds.keys() == set(get_args(Verb))


@pytest.mark.parametrize(
    ("action", "call"),
    [
        (Action("tunnel", "off"), ("off", {"names": []})),
        (Action("tunnel", "on"), ("on", {"names": []})),
        (Action("forward.on", "db"), ("forward.on", {"name": "db"})),
        (Action("forward.off", "db"), ("forward.off", {"name": "db"})),
        (Action("dns", "off"), ("off", {"names": ["dns"]})),
        (Action("dns.flush"), ("dns.flush", {})),
    ],
)
def test_switches_are_the_daemon_s(
    perform: Performer, paths: Paths, face: FakeFace, action: Action, call: tuple[str, dict[str, Any]]
) -> None:
    """It is asked over the control socket."""

    async def done(_parameters: dict[str, Any]) -> None:
        pass

    with fake_daemon(paths, {call[0]: done}) as daemon:
        perform(action)
    assert daemon.calls == [call]
    assert face.messages == []


def test_what_cannot_be_done_is_told(perform: Performer, face: FakeFace) -> None:
    """With what mends it."""
    perform(Action("tunnel", "on"))
    (message,) = face.messages
    assert message.title == "Not running"
    assert message.text.splitlines()[-1] == "sockslocal start"


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (Action("server", "home"), ["server", "use", "home"]),
        (Action("system-dns", "on"), ["dns", "use-system"]),
        (Action("system-dns", "off"), ["dns", "restore"]),
        (Action("start"), ["start"]),
        (Action("at-login", "on"), ["autostart", "on"]),
        (
            Action("remedy", "sockslocal forward set 'a b' --listen 127.0.0.1:1"),
            ["forward", "set", "a b", "--listen", "127.0.0.1:1"],
        ),
        (Action("remedy", "sockslocal restart"), ["restart"]),
    ],
)
def test_what_the_command_line_does_is_left_to_it(
    perform: Performer, children: Commands, face: FakeFace, action: Action, words: list[str]
) -> None:
    """In a child process; where all went well there is nothing to tell."""
    perform(action)
    assert children.words == words
    assert face.messages == []


def test_a_command_that_fails_is_told(perform: Performer, children: Commands, face: FakeFace) -> None:
    """In its own words."""
    children.outcome = Outcome(7, "error: only root may do that\n  help: sudo sockslocal dns use-system")
    perform(Action("system-dns", "on"))
    assert face.messages[0].text == "only root may do that\nsudo sockslocal dns use-system"


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (Action("logs"), ["logs", "-f"]),
        (Action("doctor"), ["doctor"]),
        (Action("setup"), ["setup"]),
        (Action("status"), ["status", "--watch"]),
        (Action("remedy", "sockslocal dns status"), ["dns", "status"]),
    ],
)
def test_what_is_to_be_read_is_run_in_a_terminal(
    perform: Performer, programs: Programs, action: Action, words: list[str]
) -> None:
    """In a window of its own."""
    programs.add("xterm")
    perform(action)
    wait_until(lambda: programs.arguments("xterm") is not None, seconds=10, what="a terminal")
    assert (programs.arguments("xterm") or [])[-len(words) :] == words


@pytest.mark.usefixtures("programs")
def test_without_a_terminal_the_command_is_told(perform: Performer, face: FakeFace) -> None:
    """To be typed wherever there is one."""
    perform(Action("logs"))
    assert face.messages[0].text.endswith("run it yourself: sockslocal logs -f")


def test_the_configuration_is_opened(perform: Performer, paths: Paths, programs: Programs) -> None:
    """In the person's editor."""
    programs.add("xdg-open")
    perform(Action("config"))
    wait_until(lambda: programs.arguments("xdg-open") is not None, seconds=10, what="an editor")
    assert programs.arguments("xdg-open") == [str(paths.config)]


@pytest.mark.usefixtures("programs")
def test_what_has_no_program_is_told(perform: Performer, face: FakeFace) -> None:
    """Nothing else happens."""
    perform(Action("config"))
    assert face.messages[0].text == "no terminal program was found"


def test_a_password_goes_from_the_dialog_to_the_keyring(
    perform: Performer, children: Commands, face: FakeFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a pipe; whether the server accepts it is told."""
    monkeypatch.setattr(dialogs, "password", lambda _server: Secret("hunter2"))
    children.outcome = Outcome(0, "office accepts it")
    perform(Action("password", "office"))
    assert children.words == ["login", "office", "--stdin"]
    assert children.runs[0][1] == Secret("hunter2")
    assert face.messages[0].text == "office accepts it"
    children.outcome = Outcome(5, "error: rejected")
    perform(Action("password", "office"))
    assert face.messages[1].text == "rejected"


def test_no_password_changes_nothing(
    perform: Performer, children: Commands, face: FakeFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dialog was closed."""
    monkeypatch.setattr(dialogs, "password", lambda _server: None)
    perform(Action("password", "office"))
    assert (children.runs, face.messages) == ([], [])


@pytest.mark.parametrize("code", [0, 1])
def test_unlocking_has_the_password_read_again(
    perform: Performer, children: Commands, paths: Paths, code: int
) -> None:
    """Also where it did not work: the person may have unlocked it elsewhere."""

    async def done(_parameters: dict[str, Any]) -> None:
        pass

    children.outcome = Outcome(code, "Traceback\nKeyringLocked")
    with fake_daemon(paths, {"credentials.changed": done}) as daemon:
        perform(Action("unlock", "office"))
    assert daemon.calls == [("credentials.changed", {"server": "office"})]
    assert children.runs[0][0][-1] == "sockslocal_tray.unlock"


@pytest.mark.parametrize(("copies", "title"), [(True, "Copied"), (False, "127.0.0.1:5432")])
def test_an_address_is_copied_or_shown(
    perform: Performer, face: FakeFace, monkeypatch: pytest.MonkeyPatch, title: str, *, copies: bool
) -> None:
    """To be typed, where there is no program that copies."""
    monkeypatch.setattr(clipboard, "copy", lambda _text: copies)
    perform(Action("copy", "127.0.0.1:5432"))
    assert face.messages[0].title == title


def test_quitting_leaves_the_daemon_alone(perform: Performer, children: Commands, face: FakeFace) -> None:
    """Only the icon goes."""
    perform(Action("quit"))
    assert face.stopped
    assert children.runs == []


@pytest.mark.parametrize(("code", "stopped"), [(0, True), (1, False)])
def test_stopping_all_ends_both(
    perform: Performer, children: Commands, face: FakeFace, code: int, *, stopped: bool
) -> None:
    """Where the daemon does not end, the tray stays to say so."""
    children.outcome = Outcome(code, "")
    perform(Action("stop-and-quit"))
    assert children.words == ["stop"]
    assert face.stopped is stopped


def test_dialogs_keep_no_switch_waiting() -> None:
    """They wait for a person."""
    assert lane_of(Action("password", "office")) == "dialogs"
    assert lane_of(Action("tunnel", "on")) == "deeds"


def test_the_real_command_line_understands_us(perform: Performer, paths: Paths, face: FakeFace) -> None:
    """What is run is run as it would be in a shell, and its error is told."""
    paths.config.write_text("[tcp")
    perform(Action("start"))
    assert "config.toml:1: Expected ']'" in face.messages[0].text
