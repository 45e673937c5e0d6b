import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from fakes.control import fake_daemon, status
from fakes.descriptors import open_descriptors
from fakes.waiting import wait_until
from sockslocal.control import client as client_module
from sockslocal.control import endpoint, messages
from sockslocal.control.client import Client
from sockslocal.control.loopback import LoopbackTransport
from sockslocal.control.server import Limits
from sockslocal.control.unix import UnixTransport
from sockslocal.errors import ControlError
from sockslocal.paths import Paths
from sockslocal.problems import ExitCode
from sockslocal.status import Tunnel


async def _echo(parameters: dict[str, Any]) -> object:
    return parameters


@contextlib.contextmanager
def talking(paths: Paths, *lines: bytes, hold: bool = False) -> Iterator[None]:
    """A daemon that says `lines` to its first client whatever it asks, and closes; not with `hold`."""
    done = threading.Event()

    def serve(listener: socket.socket) -> None:
        listener.setblocking(True)
        peer, _ = listener.accept()
        with peer:
            peer.recv(65536)
            with contextlib.suppress(OSError):  # the client has heard enough
                for line in lines:
                    peer.sendall(line)
            if hold:
                done.wait(10)

    with endpoint.claim(paths) as claimed, claimed.listen() as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def code_of(client: Client, do: str = "status") -> str:
    """The code of the problem that the call ends with."""
    with pytest.raises(ControlError) as caught:
        client.call(do)
    return caught.value.problem.code


@pytest.mark.parametrize("transport", [UnixTransport, LoopbackTransport])
def test_calls_are_answered(paths: Paths, transport: type[endpoint.Transport]) -> None:
    """Over both transports, with parameters and without; each call is a connection that is closed again."""
    handlers = {"forward.off": _echo, "stop": _echo, "dns.flush": _echo}
    with fake_daemon(paths, handlers, transport=transport()):
        client = Client(paths, transport=transport())
        before = open_descriptors()
        assert client.call("forward.off", name="büro") == {"name": "büro"}
        assert client.call("stop") == {"grace": 5.0}
        assert client.call("dns.flush") == {}
        assert client.status() == status()
        wait_until(lambda: open_descriptors() <= before, seconds=10, what="both ends are closed")


def test_the_problem_of_the_daemon_is_raised(paths: Paths) -> None:
    """With the exit code that belongs to it."""

    async def refuse(_parameters: dict[str, Any]) -> object:
        raise ControlError.of("unknown-name", kind="forward", name="db", known="there is none")

    with (
        fake_daemon(paths, {"on": refuse}),
        pytest.raises(ControlError, match=r"there is no forward .db") as caught,
    ):
        Client(paths).call("on", names=["db"])
    assert caught.value.exit_code == ExitCode.USAGE


def test_without_a_daemon_it_is_not_running(paths: Paths) -> None:
    """No folder, an empty folder, a socket that a killed daemon left: all the same, and at once."""
    client = Client(paths, deadline=3600)
    assert code_of(client) == "not-running"
    assert not paths.runtime.exists()
    paths.runtime.mkdir(mode=0o700)
    assert code_of(client) == "not-running"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(paths.runtime / "control.sock"))
    stale.close()
    assert code_of(client) == "not-running"
    assert list(client_errors(client)) == ["not-running"]


def client_errors(client: Client) -> Iterator[str]:
    """The code that `watch` ends with."""
    try:
        for _ in client.watch():
            pass
    except ControlError as error:
        yield error.problem.code


def test_a_daemon_that_is_starting_is_waited_for(paths: Paths) -> None:
    """Between the lock and the socket a client tries again."""
    with endpoint.claim(paths) as claimed:
        answers: list[str] = []
        thread = threading.Thread(target=lambda: answers.append(Client(paths, deadline=10).call("status")))
        thread.start()
        with claimed.listen() as listener:
            listener.setblocking(True)
            peer, _ = listener.accept()
            with peer:
                peer.recv(1000)
                peer.sendall(b'{"id": 1, "ok": "hello"}\n')
            thread.join()
    assert answers == ["hello"]


def test_a_daemon_that_never_listens_is_not_answering(paths: Paths) -> None:
    """The text has the process and the time that was waited."""
    with (
        endpoint.claim(paths),
        pytest.raises(ControlError, match=f"process {os.getpid()} .* within 0.1 s") as caught,
    ):
        Client(paths, deadline=0.1).call("status")
    assert caught.value.problem.code == "not-answering"


def test_a_daemon_that_never_accepts_is_not_answering(paths: Paths) -> None:
    """A stopped process still has its connections taken by the kernel."""
    with endpoint.claim(paths) as claimed, claimed.listen():
        assert code_of(Client(paths, deadline=0.1)) == "not-answering"


def test_a_full_backlog_is_not_answering(paths: Paths) -> None:
    """A Unix socket refuses what does not fit into its queue; that is waited out like the rest."""
    with endpoint.claim(paths) as claimed, claimed.listen():
        waiting = []
        with contextlib.suppress(OSError):  # EAGAIN or a time-out, by system
            while True:
                waiting.append(endpoint.connect(paths, 0.1))
        assert code_of(Client(paths, deadline=0.1)) == "not-answering"
        for connection in waiting:
            connection.close()


def test_half_an_answer_is_not_answering(paths: Paths) -> None:
    """The deadline is over the whole answer, not over each part."""
    with talking(paths, b'{"id": 1, "ok', hold=True):
        assert code_of(Client(paths, deadline=0.2)) == "not-answering"


def test_a_connection_that_ends_is_lost(paths: Paths) -> None:
    """With the daemon alive it is a lost connection; whatever part of an answer came is not used."""
    with talking(paths, b'{"id": 1, "ok": tr'):
        assert code_of(Client(paths)) == "control-closed"


DIES = """
import os, sys
from pathlib import Path
from sockslocal.control.endpoint import claim
from sockslocal.paths import Paths
root = Path(sys.argv[1])
claimed = claim(Paths(root / "config.toml", root / "run", root / "state"))
listener = claimed.listen()
listener.setblocking(True)
print("listening", flush=True)
listener.accept()[0].recv(1)
os._exit(1)
"""


def test_a_daemon_that_dies_in_the_middle_is_not_running(paths: Paths) -> None:
    """Its lock is free, so there is nothing to ask any more."""
    command = [sys.executable, "-c", DIES, str(paths.runtime.parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert code_of(Client(paths)) == "not-running"


@pytest.mark.parametrize("line", [b"HTTP/1.1 200 OK\r\n\r\n", b"\xff\n", b"[]\n", b"\n", b'{"id": []}\n'])
def test_what_is_no_answer_is_an_internal_error(paths: Paths, line: bytes) -> None:
    """Something that speaks otherwise is told of, not guessed from."""
    with talking(paths, line):
        assert code_of(Client(paths)) == "internal"


def test_an_endless_answer_is_an_internal_error(paths: Paths) -> None:
    """The client's memory has a bound too."""
    with talking(paths, b"x" * (messages.MAX_ANSWER + 70_000), hold=True):
        assert code_of(Client(paths)) == "internal"


def test_a_refusal_is_read_though_the_connection_is_closed(paths: Paths) -> None:
    """One that was turned away has the reason waiting, even if its request could not be sent any more."""
    with fake_daemon(paths, limits=Limits(clients=0)):
        assert code_of(Client(paths)) == "control-busy"


def test_wrong_parameters_are_found_before_anything_is_sent(paths: Paths) -> None:
    """A mistake of the caller's does not depend on the daemon being there."""
    assert code_of(Client(paths), "shutdown") == "bad-request"


def test_watch_yields_states_until_the_daemon_ends(paths: Paths) -> None:
    """Snapshot, events with their numbers, and `not-running` where the daemon stops."""
    with fake_daemon(paths, limits=Limits(event_interval=0.0, heartbeat=0.05)) as daemon:
        states = Client(paths).watch()
        assert next(states) == (0, status())
        daemon.set(status(tunnel=Tunnel(on=False)))
        assert next(states) == (1, status(tunnel=Tunnel(on=False)))
        daemon.close()
        with pytest.raises(ControlError, match="closed the control connection"):
            next(states)


def test_a_silent_watch_ends(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that hangs gives no heartbeat, and is found out."""
    monkeypatch.setattr(client_module, "_SILENCE", 0.1)
    snapshot = messages.encode_state(1, 5, status(), first=True)
    with talking(paths, snapshot, hold=True):
        states = Client(paths).watch()
        assert next(states) == (5, status())
        with pytest.raises(ControlError, match=r"within 0\.1 s"):
            next(states)


def test_a_watch_that_is_left_closes_its_connection(paths: Paths) -> None:
    """Closing the iterator is enough."""
    with fake_daemon(paths):
        before = open_descriptors()
        states = Client(paths).watch()
        next(states)
        states.close()  # type: ignore[attr-defined]  # it is a generator
        wait_until(lambda: open_descriptors() <= before, seconds=10, what="both ends are closed")


def test_another_daemons_status_is_an_internal_error(paths: Paths) -> None:
    """A status of some other version is not half read."""
    line = json.dumps({"id": 1, "ok": {"version": 9}}).encode() + b"\n"
    with talking(paths, line), pytest.raises(ControlError, match="status cannot be read"):
        Client(paths).status()
