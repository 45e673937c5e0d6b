"""What the demo prints, in 80 columns."""

import os
import shutil
from collections import Counter
from typing import Literal, TextIO

from sockslocal.address import Endpoint
from sockslocal.demo.setting import SERVER, USERNAME, Setting
from sockslocal.demo.targets import ECHO, ECHO_PORT, WEB
from sockslocal.demo.traffic import Step
from sockslocal.demo.zone import LONG_NAME
from sockslocal.socks5.messages import Command

Colour = Literal["green", "red", "bold", "faint"]

_CODES: dict[Colour, int] = {"green": 32, "red": 31, "bold": 1, "faint": 2}
_ASCII = str.maketrans({"✓": "+", "✗": "x", "→": ">", "─": "-", "▶": ">"})

_PICTURE = """
  a program ─────▶ sockslocal ─────▶ SOCKS5 server ─────▶ www, db, ns.demo.test
                   {pid:<17} {server:<20} only it knows them
                                     {login}
"""


class Screen:
    """Prints to `out`: coloured on a terminal unless NO_COLOR is set, in ASCII where no more can be shown."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._coloured = out.isatty() and not os.environ.get("NO_COLOR")
        try:
            "✓✗→─▶".encode(out.encoding)
            self._ascii = False
        except UnicodeEncodeError:
            self._ascii = True

    def opening(self, server: Endpoint, pid: int) -> None:
        """What there is, and how it is connected."""
        self._line(self._in("bold", "sockslocal demo") + ": everything on this machine, and gone at its end")
        login = f"user {USERNAME}, password"
        self._line(_PICTURE.format(pid=f"pid {pid}", server=str(server), login=login))

    def login(self, server: Endpoint, outcome: str, seconds: float) -> None:
        """The server has turned a wrong password away."""
        self._done("login", f"{server} with a wrong password for {USERNAME}", outcome, seconds)

    def step(self, step: Step, carried: str, seconds: float) -> None:
        """A path that works."""
        self._done(step.kind, _path(step), carried, seconds)

    def failure(self, kind: str, path: str, reason: str) -> None:
        """A path that does not work, and why."""
        self._line(f"{self._in('red', '✗')} {kind:<7} {path}")
        self._line(f"{'':10}{reason}")

    def failed_step(self, step: Step, reason: str) -> None:
        """As `failure`, of one of the steps."""
        self.failure(step.kind, _path(step), reason)

    def proof(self, served: Counter[Command]) -> None:
        """What the server says about it."""
        connections = _count(served[Command.CONNECT], "connection")
        associations = _count(served[Command.UDP_ASSOCIATE], "UDP association")
        self._line(f"\nThe server has seen {connections} and {associations} of {USERNAME}'s.")
        self._line("The first one took longer: the password was read for it, by a child process.")

    def commands(self, setting: Setting) -> None:
        """What to try next, with programs that are installed."""
        self._line("\nIt stays up until Ctrl-C. In another terminal, begin with:\n")
        self._line(f"  . {setting.environment_script}\n")
        for command, about in _commands(setting):
            gap = " " * max(2, 48 - len(command))
            self._line(f"  {self._in('bold', command)}{gap}{self._in('faint', about)}".rstrip())

    def _done(self, kind: str, path: str, carried: str, seconds: float) -> None:
        self._line(f"{self._in('green', '✓')} {kind:<7} {path:<46} {carried:<14} {seconds * 1000:5.1f} ms")

    def _line(self, text: str) -> None:
        print(text.translate(_ASCII) if self._ascii else text, file=self._out, flush=True)

    def _in(self, colour: Colour, text: str) -> str:
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if self._coloured else text


def _path(step: Step) -> str:
    return f"{step.start} → {USERNAME}@{SERVER} → {step.end}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _commands(setting: Setting) -> list[tuple[str, str]]:
    suggestions = [
        (f"curl http://{setting.web}/", "a page from behind the server"),
        (f"dig @{setting.dns.host} -p {setting.dns.port} {WEB}", "a name that only it knows"),
        (f"sockslocal dns query {LONG_NAME} TXT", "too long for UDP"),
        ("sockslocal status", "what is up"),
        ("sockslocal off web", "now curl is refused"),
        ("sockslocal on web", "and now it is not"),
        (f"sockslocal forward add tcp more {setting.spare} {ECHO}:{ECHO_PORT}", ""),
        ("sockslocal status --watch", "what changes"),
    ]
    return [(command, about) for command, about in suggestions if _available(command)]


def _available(command: str) -> bool:
    program = command.partition(" ")[0]
    return program == "sockslocal" or shutil.which(program) is not None
