"""A session bus of a test's own, and stand-ins for the services that a desktop has on it."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from jeepney import HeaderFields, Message, MessageType
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import DBusConnection, open_dbus_connection

from fakes.waiting import wait_until


class SessionBus:
    """A bus with nobody on it but whom the test puts there; `environment` leads a process to it."""

    def __init__(
        self, folder: Path, address: str, environment: dict[str, str], daemon: subprocess.Popen[bytes]
    ) -> None:
        self.folder = folder
        self.address = address
        self.environment = environment
        self._daemon = daemon

    def stop(self) -> None:
        """Take it away, as the end of a session does."""
        self._daemon.terminate()
        self._daemon.wait()

    def connect(self) -> DBusConnection:
        """A connection to it; to be closed."""
        return open_dbus_connection(self.address)

    def has(self, name: str) -> bool:
        """Whether somebody on it has this well-known name."""
        with self.connect() as connection:
            return bool(connection.send_and_get_reply(message_bus.NameHasOwner(name)).body[0])

    def answers(self) -> bool:
        """Whether it can be connected to; its socket's path is there before it listens."""
        try:
            self.connect().close()
        except OSError:
            return False
        return True


@contextmanager
def session_bus(folder: Path) -> Iterator[SessionBus]:
    """A bus whose socket is in `folder`, until the end of the block.

    It starts no services by itself, so that no test meets a keyring or a prompter that it did not ask for.
    """
    address = f"unix:path={folder}/bus"
    configuration = folder / "bus.conf"
    configuration.write_text(_CONFIGURATION.format(address=address))
    runtime = folder / "run"
    runtime.mkdir(mode=0o700)
    environment = {
        "DBUS_SESSION_BUS_ADDRESS": address,
        "XDG_RUNTIME_DIR": str(runtime),
        "XDG_DATA_HOME": str(folder / "data"),
    }
    command = ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--nopidfile"]
    with (folder / "bus.log").open("wb") as log, running(command, stdout=log, stderr=log) as daemon:
        bus = SessionBus(folder, address, environment, daemon)
        wait_until(bus.answers, seconds=10, what="a session bus")
        yield bus


@contextmanager
def users_session_bus(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SessionBus]:
    """As `session_bus`; this process finds it as it would the user's."""
    with session_bus(folder) as bus:
        for name, value in bus.environment.items():
            monkeypatch.setenv(name, value)
        yield bus


_CONFIGURATION = """<busconfig>
  <type>session</type>
  <listen>{address}</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


@contextmanager
def running(command: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """The program, until the end of the block."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.kill()


class StandIn:
    """Has a well-known name on the bus and answers each call with what `respond` makes of it, or not at all.

    `calls` has the members that were called. It serves in a thread, until the end of the `with` block.
    """

    def __init__(self, bus: SessionBus, name: str, respond: Callable[[Message], Message | None]) -> None:
        self.calls: list[str] = []
        self._name = name
        self._respond = respond
        self._connection = bus.connect()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        reply = self._connection.send_and_get_reply(message_bus.RequestName(self._name))
        assert reply.body == (1,), f"{self._name} has another owner"
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()

    def vanish(self) -> None:
        """Leave the bus; who waits for an answer is told by the bus that there will be none."""
        self._ending.set()

    def wait_for(self, method: str) -> None:
        """Return as soon as it was called."""
        wait_until(lambda: method in self.calls, seconds=10, what=f"a call of {method}")

    def tell(self, signal: Message) -> None:
        """Send a signal."""
        self._connection.send(signal)

    def _serve(self) -> None:
        with self._connection as connection:
            while not self._ending.is_set():
                with suppress(TimeoutError):
                    self._take(connection.receive(timeout=0.05))

    def _take(self, message: Message) -> None:
        if message.header.message_type is not MessageType.method_call:
            return
        self.calls.append(message.header.fields[HeaderFields.member])
        answer = self._respond(message)
        if answer is not None:
            self._connection.send(answer)
