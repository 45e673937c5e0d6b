"""Does what was chosen. Whatever goes wrong is told by a notification, with what mends it."""

import logging
import shlex
from collections.abc import Callable

from sockslocal import children
from sockslocal.control.client import Client
from sockslocal.errors import SockslocalError
from sockslocal.paths import Paths
from sockslocal.problems import Problem
from sockslocal_tray import clipboard, commands, dialogs, openers
from sockslocal_tray.actions import Action, Verb
from sockslocal_tray.face import Face, Message

_log = logging.getLogger(__name__)

_UNLOCK_S = 120.0
_CALL_S = 20.0  # switching ends connections

_QUIET = {
    *("on", "off", "start", "stop", "restart", "forward set", "forward remove"),
    *("dns flush", "dns restore", "dns use-system", "server use"),
}
"""Commands that have nothing to say when they succeed; the others are run in a terminal, to be read."""

Deed = Callable[[str], object]


class Performer:
    """Does actions, each in the thread that asks for it: some take long, so it is not the icon's.

    `face` shows what comes of it.
    """

    def __init__(self, paths: Paths, face: Face) -> None:
        self._paths = paths
        self._face = face
        self._client = Client(paths, deadline=_CALL_S)
        self._deeds: dict[Verb, Deed] = {
            "tunnel": lambda switch: self._client.call(switch, names=[]),
            "forward.on": lambda name: self._client.call("forward.on", name=name),
            "forward.off": lambda name: self._client.call("forward.off", name=name),
            "dns": lambda switch: self._client.call(switch, names=["dns"]),
            "dns.flush": lambda _: self._client.call("dns.flush"),
            "system-dns": lambda switch: self._run("dns", "use-system" if switch == "on" else "restore"),
            "server": lambda name: self._run("server", "use", name),
            "password": self._log_in,
            "unlock": self._unlock,
            "copy": self._copy,
            "remedy": self._mend,
            "config": lambda _: openers.in_editor(paths.config),
            "logs": lambda _: self._show("logs", "-f"),
            "doctor": lambda _: self._show("doctor"),
            "setup": lambda _: self._show("setup"),
            "status": lambda _: self._show("status", "--watch"),
            "at-login": lambda switch: self._run("autostart", switch),
            "start": lambda _: self._run("start"),
            "quit": lambda _: face.stop(),
            "stop-and-quit": self._stop_and_quit,
        }

    def __call__(self, action: Action) -> None:
        """Do it."""
        _log.info("> %s", action.verb)
        try:
            self._deeds[action.verb](action.argument)
        except SockslocalError as error:
            self._complain(error.problem)
        except (openers.NoProgramError, dialogs.NoDialogError, OSError) as error:
            self._complain(Problem("no-program", "That cannot be shown", str(error), ""))

    def _complain(self, problem: Problem) -> None:
        _log.info("! %s: %s", problem.code, problem.text)
        text = f"{problem.text}\n{problem.remedy}" if problem.remedy else problem.text
        self._face.tell(Message(problem.title, text, "normal", "action"))

    def _tell(self, title: str, text: str) -> None:
        self._face.tell(Message(title, text, "low", "action"))

    def _run(self, *words: str) -> bool:
        """Whether the command, which nobody sees, has done it."""
        outcome = commands.run(commands.sockslocal(self._paths, *words))
        if outcome.code:
            self._complain(commands.failure(outcome))
        return outcome.code == 0

    def _show(self, *words: str) -> None:
        """Run the command where it can be read."""
        try:
            openers.in_terminal(commands.sockslocal(self._paths, *words))
        except openers.NoProgramError as error:
            command = shlex.join(["sockslocal", *words])
            self._complain(Problem("no-terminal", "No terminal", str(error), f"run it yourself: {command}"))

    def _mend(self, remedy: str) -> None:
        """Run the command `remedy`, as it is written: without a shell."""
        words = shlex.split(remedy)[1:]
        if {words[0], " ".join(words[:2])} & _QUIET:
            self._run(*words)
        else:
            self._show(*words)

    def _log_in(self, server: str) -> None:
        secret = dialogs.password(server)
        if secret is None:
            return
        outcome = commands.run(commands.sockslocal(self._paths, "login", server, "--stdin"), secret)
        if outcome.code:
            self._complain(commands.failure(outcome))
        else:
            self._tell("Password kept", outcome.text)

    def _unlock(self, server: str) -> None:
        outcome = commands.run(children.command_of("sockslocal_tray.unlock"), seconds=_UNLOCK_S)
        if outcome.code:
            _log.info("! the keyring was not unlocked: %s", outcome.text.rpartition("\n")[2])
        self._client.call("credentials.changed", server=server)

    def _copy(self, address: str) -> None:
        if clipboard.copy(address):
            self._tell("Copied", address)
        else:
            self._tell(address, "There is no program here to copy it with: wl-copy, xclip or xsel.")

    def _stop_and_quit(self, _: str) -> None:
        if self._run("stop"):
            self._face.stop()


def lane_of(action: Action) -> str:
    """Deeds of one lane wait for each other: no switch has to wait for a dialog that nobody answers."""
    return "dialogs" if action.verb in ("password", "unlock", "system-dns") else "deeds"
