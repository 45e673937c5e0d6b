"""The real daemon under test, in folders of its own, and the words to configure it with."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from fakes.waiting import wait_until
from integration.servers.process import LOOPBACK, READY_S, Process
from sockslocal.control.client import Client
from sockslocal.errors import ControlError
from sockslocal.paths import Paths
from sockslocal.status import Status

SERVER = "office"

HIDDEN = "only root may look at the descriptors of a process that hides its memory"


def section(header: str, **values: object) -> str:
    """One table of a configuration; JSON's way to write texts, numbers and lists is TOML's too."""
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    return "\n".join([f"[{header}]", *lines, ""])


def tcp(name: str, listen: int, to: int, *, host: str = LOOPBACK, **more: object) -> str:
    """A TCP forward from a port of loopback to a port of `host` as the server sees it."""
    return section(f"tcp.{name}", listen=f"{LOOPBACK}:{listen}", to=f"{host}:{to}", **more)


def udp(name: str, listen: int, to: int, *, host: str = LOOPBACK, **more: object) -> str:
    """A UDP forward, likewise."""
    return section(f"udp.{name}", listen=f"{LOOPBACK}:{listen}", to=f"{host}:{to}", **more)


def dns(listen: int, *upstreams: str, **more: object) -> str:
    """The resolver."""
    return section("dns", listen=f"{LOOPBACK}:{listen}", upstreams=upstreams, **more)


class Daemon:
    """`sockslocal run` from `start` to the exit of the `with`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config.toml"
        self.paths = Paths(config=self.config, runtime=folder / "run", state=folder / "state")
        self._process: Process | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.stop()
            sys.stderr.write(self._process.output())  # pytest shows it where the test has failed

    def server(self, address: str, *, username: str | None = None, password: str = "", **more: object) -> str:
        """The table of the one server; its password goes into a file that only we may read."""
        login: dict[str, object] = {}
        if username is not None:
            path = self.folder / "password"
            path.write_text(password)
            path.chmod(0o600)
            login = {"username": username, "password_from": f"file:{path}"}
        return section(f"server.{SERVER}", **{"address": address, "udp_probe": "off", **login, **more})

    def configure(self, *sections: str) -> None:
        """Write the configuration, as an editor does: whole, by renaming."""
        draft = self.folder / "draft"
        draft.write_text("\n".join(sections))
        draft.chmod(0o600)
        draft.rename(self.config)

    def command(self, *words: str) -> list[str]:
        """The command line of `sockslocal WORDS`."""
        return [sys.executable, "-m", "sockslocal", *words]

    @property
    def environment(self) -> dict[str, str]:
        """Where the daemon and the commands look for its files."""
        return {
            "SOCKSLOCAL_CONFIG": str(self.config),
            "SOCKSLOCAL_RUNTIME_DIR": str(self.paths.runtime),
            "SOCKSLOCAL_STATE_DIR": str(self.paths.state),
        }

    def start(self, *words: str, prefix: Sequence[str] = ()) -> None:
        """`sockslocal run WORDS`, started by `prefix` where there is one, until it answers."""
        command = [*prefix, *self.command("run", "--level", "debug", *words)]
        self._process = Process(command, self.folder, environment=self.environment)
        wait_until(self._answers, seconds=READY_S, what="the daemon answers")

    def _answers(self) -> bool:
        if self.process.exit_code is not None:
            raise AssertionError(f"the daemon ended with {self.process.exit_code}: {self.process.output()}")
        try:
            self.status()
        except ControlError:
            return False
        return True

    @property
    def process(self) -> Process:
        assert self._process is not None, "not started"
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    def cli(self, *words: str, seconds: float = 30.0) -> subprocess.CompletedProcess[str]:
        """Run `sockslocal WORDS` beside the daemon."""
        return subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            env={**os.environ, **self.environment, "NO_COLOR": "1"},
            cwd=self.folder,
        )

    def status(self) -> Status:
        """What it says of itself; raises ControlError."""
        return Client(self.paths).status()

    def wait_for(self, predicate: Callable[[Status], bool], *, seconds: float = 10.0) -> Status:
        """The first status that `predicate` holds for."""
        last: list[Status] = []

        def holds() -> bool:
            last[:] = [self.status()]
            return predicate(last[0])

        try:
            wait_until(holds, seconds=seconds, what="the status")
        except AssertionError as error:
            raise AssertionError(f"{error}; the last was {last}") from None
        return last[0]

    def descriptors(self) -> list[str] | None:
        """What its open descriptors are; None where we are not told, as HIDDEN says."""
        found = []
        try:
            for link in Path(f"/proc/{self.pid}/fd").iterdir():
                with contextlib.suppress(FileNotFoundError):  # closed since
                    found.append(str(link.readlink()))
        except PermissionError:
            return None
        return found

    def log(self) -> str:
        """Everything it has logged, to stderr and to its file."""
        file = self.paths.log
        return self.process.output_path.read_text() + (file.read_text() if file.exists() else "")


@contextmanager
def temporary_daemon() -> Iterator[Daemon]:
    """A daemon not yet started, in a folder with room in its path for a socket's name (107 octets in all)."""
    with tempfile.TemporaryDirectory(prefix="sl") as folder, Daemon(Path(folder)) as daemon:
        yield daemon
