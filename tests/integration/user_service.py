"""A machine that boots, a user of it, and sockslocal as a unit of that user's systemd."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from fakes.booted_machine import TESTS, BootedMachine
from fakes.networks import in_network_of
from fakes.waiting import wait_until
from sockslocal.desktop.linux import UNIT, unit

T = TypeVar("T")

LINUX = Path(__file__).parents[2] / "installer/linux"
USER, NUMBER = "ana", 4711
CONFIG = f"home/{USER}/.config/sockslocal/config.toml"
TARGET = "[Unit]\nWants=basic.target dbus.service\nAfter=basic.target dbus.service\n"
SOON_S = 20.0

STRICT = f"""\
[Service]
Environment=PYTHONPATH={TESTS.parent}
SystemCallErrorNumber=kill
RestartSec=100ms
"""
"""What is not allowed is the end of the daemon, so that no test passes without it."""


OF_THE_SYSTEM = f"""\
User={USER}
RuntimeDirectory=sockslocal
RuntimeDirectoryMode=0700
Environment=SOCKSLOCAL_RUNTIME_DIR=/run/sockslocal
"""


class UserService:
    """Booted, and the user's systemd runs; of the unit `settings` are what is otherwise than a user's."""

    def __init__(self, machine: BootedMachine, *, system: bool = False) -> None:
        self.machine = machine
        self._system = system
        self._folder = "etc/systemd/system" if system else "etc/systemd/user"

    def can_be_run(self) -> bool:
        """Whether the user may run this Python, and read what it is to run."""
        run = (sys.executable, "-c", "import sockslocal; print('yes')")
        return self.command("env", f"PYTHONPATH={TESTS.parent}", *run, check=False) == "yes\n"

    def install(self, settings: str = "") -> None:
        """The unit, and what belongs to it; for the system's manager it is told the user."""
        write = self.machine.write
        write(f"{self._folder}/{UNIT}", unit([sys.executable, "-m", "sockslocal"]))
        write(f"{self._folder}/sockslocal-dns.socket", (LINUX / "sockslocal-dns.socket").read_text())
        write(
            f"{self._folder}/{UNIT}.d/test.conf", STRICT + (OF_THE_SYSTEM if self._system else "") + settings
        )
        self.manager("daemon-reload")

    def manager(self, *words: str, check: bool = True) -> str:
        """`systemctl WORDS`."""
        scope = () if self._system else ("--user",)
        return self.command("systemctl", *scope, *words, check=check, root=self._system)

    def command(self, *words: str, check: bool = True, root: bool = False) -> str:
        """What a command of the user prints."""
        return self.machine.run(*(() if root else self.as_user), *words, check=check)

    @property
    def as_user(self) -> tuple[str, ...]:
        """What begins a command of the user."""
        ids = (f"--reuid={NUMBER}", f"--regid={NUMBER}", "--init-groups")
        places = (f"XDG_RUNTIME_DIR=/run/user/{NUMBER}", f"HOME=/home/{USER}")
        return ("setpriv", *ids, "env", *places)

    def sockslocal(self, *words: str, check: bool = True) -> str:
        """What a command of ours prints."""
        return self.command(sys.executable, "-m", "sockslocal", *words, check=check)

    def status(self) -> dict[str, Any]:
        """`sockslocal status`."""
        return dict(json.loads(self.sockslocal("status", "--json")))

    def property(self, name: str) -> str:
        """What the manager says of the unit."""
        return self.manager("show", UNIT, f"--property={name}", "--value").strip()

    def wait_for(self, name: str, value: str) -> None:
        """Return once it says so."""
        wait_until(lambda: self.property(name) == value, seconds=SOON_S, what=f"{name} is {value}")

    def configure(self, *sections: str) -> None:
        """The user's configuration."""
        self.machine.write(CONFIG, "\n".join(sections))

    def beside(self, work: Callable[[], T]) -> T:
        """What `work` gives, in the machine's network."""
        return in_network_of(self.machine.pid, work)

    def log(self) -> str:
        """All that the machine has noted."""
        return self.machine.run("journalctl", "--no-pager", "--quiet")


@contextlib.contextmanager
def booted(folder: Path) -> Iterator[BootedMachine]:
    """With a user, whose systemd runs."""
    with BootedMachine(folder) as machine:
        machine.write("etc/systemd/system/machine.target", TARGET)
        machine.boot()
        machine.run("useradd", "--create-home", f"--uid={NUMBER}", USER)
        machine.run("systemctl", "start", f"user@{NUMBER}.service")
        yield machine
