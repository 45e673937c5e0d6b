import asyncio
import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
import threading
from typing import Any, Self

import pytest

from fakes.control import FakeDaemon, fake_daemon, status
from fakes.waiting import wait_until
from sockslocal.control import endpoint, messages
from sockslocal.control.client import Client
from sockslocal.control.folder import Folder
from sockslocal.control.loopback import LoopbackTransport
from sockslocal.control.server import ControlServer, Handler, Limits
from sockslocal.control.unix import UnixTransport
from sockslocal.errors import ServerError
from sockslocal.paths import Paths
from sockslocal.status import Server, Tunnel


class Raw:
    """A client that says what it likes."""

    def __init__(self, paths: Paths) -> None:
        self.socket = endpoint.connect(paths, 10.0)
        self._lines = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self) -> Any:
        """The next answer; None at the end."""
        line = self._lines.readline()
        return json.loads(line) if line else None

    def ask(self, line: bytes) -> Any:
        self.send(line + b"\n")
        return self.receive()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self.socket.close()


def returning(value: object) -> Handler:
    """A handler that answers `value`."""

    async def handle(_parameters: dict[str, Any]) -> object:
        return value

    return handle


def raising(error: Exception) -> Handler:
    """A handler that fails."""

    async def handle(_parameters: dict[str, Any]) -> object:
        raise error

    return handle


def connected(daemon: FakeDaemon) -> int:
    """How many clients the server has."""
    return len(daemon.server._clients)


def has_nobody(daemon: FakeDaemon) -> None:
    """Wait until the server has let go of every client."""
    wait_until(lambda: connected(daemon) == 0, seconds=10, what="no client is left")


STATUS = b'{"id": 1, "do": "status"}'


def test_requests_of_one_connection_are_answered_in_turn(paths: Paths) -> None:
    """Each answer has its request's id, also where requests come all at once."""
    with fake_daemon(paths, {"dns.flush": returning({"removed": 3})}) as daemon, Raw(paths) as raw:
        raw.send(STATUS + b'\n{"id": 2, "do": "dns.flush"}\n{"id": 3, "do": "on"}\n')
        first, second, third = raw.receive(), raw.receive(), raw.receive()
        assert (first["id"], first["ok"]["daemon"]["pid"]) == (1, 4711)
        assert second == {"id": 2, "ok": {"removed": 3}}
        assert (third["id"], third["error"]["code"]) == (3, "bad-request")
        assert daemon.calls == [("status", {}), ("dns.flush", {})]


def test_parameters_arrive_checked(paths: Paths) -> None:
    """A handler gets its parameters without id and verb, and is not called with wrong ones."""
    with fake_daemon(paths, {"forward.off": returning(True)}) as daemon, Raw(paths) as raw:
        assert raw.ask(b'{"id": 1, "do": "forward.off", "name": "db"}') == {"id": 1, "ok": True}
        assert raw.ask(b'{"id": 2, "do": "forward.off", "name": 7}')["error"]["code"] == "bad-request"
        assert daemon.calls == [("forward.off", {"name": "db"})]


@pytest.mark.parametrize(
    "line", [b"garbage", b"", b"\x00\xff" * 100, b"[1]", b'{"id": 1}', b"GET / HTTP/1.1"]
)
def test_garbage_is_answered_and_the_connection_lives(paths: Paths, line: bytes) -> None:
    """What is no request gets a bad-request; the next line is a new chance."""
    with fake_daemon(paths), Raw(paths) as raw:
        answer = raw.ask(line)
        assert answer["id"] is None
        assert answer["error"]["code"] == "bad-request"
        assert "ok" in raw.ask(STATUS)


def test_a_huge_line_ends_the_connection(paths: Paths) -> None:
    """It is refused as soon as it is too long; the others do not notice."""
    with fake_daemon(paths) as daemon, Raw(paths) as other:
        with Raw(paths) as raw:
            raw.send(b"x" * (messages.MAX_REQUEST + 1))
            assert "longer than" in raw.receive()["error"]["text"]
            assert raw.receive() is None
        assert "ok" in other.ask(STATUS)
        wait_until(lambda: connected(daemon) == 1, seconds=10, what="the one with the huge line is gone")


@pytest.mark.parametrize("data", [b"", b'{"id": 1, "do"', STATUS + b"\n" + b'{"id": 2'])
def test_silence_has_a_deadline(paths: Paths, data: bytes) -> None:
    """Nobody keeps a place by sending half a line, or nothing."""
    with fake_daemon(paths, limits=Limits(request=0.2)) as daemon, Raw(paths) as raw:
        raw.send(data)
        while raw.receive() is not None:
            pass
        has_nobody(daemon)


def test_clients_that_leave_leave_nothing(paths: Paths) -> None:
    """Before a request, in the middle of one, before and in the middle of the answer."""
    with fake_daemon(paths, {"dns.status": returning("x" * 3_000_000)}) as daemon:
        for data in (b"", b'{"id"', STATUS + b"\n", b'{"id": 1, "do": "dns.status"}\n'):
            with Raw(paths) as raw:
                raw.send(data)
        with Raw(paths) as raw:
            raw.send(b'{"id": 1, "do": "dns.status"}\n')
            raw.socket.recv(10)
        has_nobody(daemon)
        assert Client(paths).status() == status()


def test_an_answer_that_nobody_takes_has_a_deadline(paths: Paths) -> None:
    """The answer is dropped with its client."""
    with (
        fake_daemon(paths, {"dns.status": returning("x" * 3_000_000)}, limits=Limits(drain=0.2)) as daemon,
        Raw(paths) as raw,
    ):
        raw.send(b'{"id": 1, "do": "dns.status"}\n')
        has_nobody(daemon)


def test_what_nobody_waits_for_is_ended(paths: Paths) -> None:
    """A handler that takes long is cancelled when its client leaves."""
    begun, ended = threading.Event(), threading.Event()

    async def handle(_parameters: dict[str, Any]) -> None:
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    with fake_daemon(paths, {"server.test": handle}, limits=Limits(look=0.01)) as daemon:
        with Raw(paths) as raw:
            raw.send(b'{"id": 1, "do": "server.test", "name": "office"}\n')
            assert begun.wait(10)
        assert ended.wait(10)
        has_nobody(daemon)


def test_who_waits_long_is_answered(paths: Paths) -> None:
    """However often it was looked whether the client is still there."""

    async def handle(_parameters: dict[str, Any]) -> str:
        await asyncio.sleep(0.05)
        return "done"

    with (
        fake_daemon(paths, {"server.test": handle}, limits=Limits(look=0.001)),
        Raw(paths) as raw,
    ):
        assert raw.ask(b'{"id": 1, "do": "server.test", "name": "office"}') == {"id": 1, "ok": "done"}


def test_the_hundredth_client_is_told(paths: Paths) -> None:
    """64 are served, the others hear why not; when some leave, there is room again."""
    with fake_daemon(paths) as daemon:
        raws = [Raw(paths) for _ in range(100)]
        turned_away = [raw for raw in raws[64:] if raw.receive()["error"]["code"] == "control-busy"]
        assert len(turned_away) == 36
        assert all("ok" in raw.ask(STATUS) for raw in raws[:64])
        with pytest.raises(Exception, match="serves 64 clients"):
            Client(paths).status()
        for raw in raws:
            raw.__exit__()
        has_nobody(daemon)
        assert Client(paths).status() == status()


# handlers that fail


def test_a_problem_is_told_as_it_is(paths: Paths) -> None:
    """A SockslocalError's problem is the answer."""
    error = ServerError.of("server-unreachable", address="192.0.2.1:1080", reason="no route")
    with fake_daemon(paths, {"dns.query": raising(error)}), Raw(paths) as raw:
        answer = raw.ask(b'{"id": 9, "do": "dns.query", "name": "a.example"}')
    assert answer["id"] == 9
    assert answer["error"]["code"] == "server-unreachable"
    assert set(answer["error"]) == {"code", "title", "text", "remedy"}


async def _forever(_parameters: dict[str, Any]) -> object:
    await asyncio.Event().wait()
    return None


@pytest.mark.parametrize(
    ("handler", "kind"),
    [
        (raising(ValueError("s3cret inside")), "ValueError"),
        (_forever, "TimeoutError"),
        (returning(object()), "TypeError"),
        (returning("\udcff"), "UnicodeEncodeError"),
        (returning("x" * messages.MAX_ANSWER), "ValueError"),
        (raising(ServerError.of("internal", reason="x" * messages.MAX_ANSWER)), "ValueError"),
    ],
)
def test_a_handler_that_breaks_is_an_internal_error(
    paths: Paths, caplog: pytest.LogCaptureFixture, handler: Handler, kind: str
) -> None:
    """The log has the traceback; the client has a problem without the error's text, and its connection."""
    with fake_daemon(paths, {"dns.flush": handler}, limits=Limits(handler=0.2)), Raw(paths) as raw:
        answer = raw.ask(b'{"id": 1, "do": "dns.flush"}')
        assert answer["error"]["code"] == "internal"
        assert kind in answer["error"]["text"]
        assert "s3cret" not in answer["error"]["text"]
        assert "ok" in raw.ask(STATUS)
    assert "dns.flush failed" in caplog.text
    assert f"{kind}" in caplog.text


def test_handlers_must_be_of_the_protocol(paths: Paths) -> None:
    """A verb that no client can send is a mistake found at once."""

    async def watch(_seq: int) -> Any:
        raise NotImplementedError

    with endpoint.claim(paths) as claimed, pytest.raises(ValueError, match="shutdown"):
        ControlServer(claimed, {"shutdown": returning(None)}, watch)


# watching


def test_watch_gives_a_snapshot_and_then_events(paths: Paths) -> None:
    """The snapshot is the answer; each event has a greater number and the whole state."""
    with fake_daemon(paths, limits=Limits(event_interval=0.0)) as daemon, Raw(paths) as raw:
        snapshot = raw.ask(b'{"id": 2, "do": "watch"}')
        assert (snapshot["id"], snapshot["seq"], snapshot["ok"]["tunnel"]) == (2, 0, {"on": True})
        daemon.set(status(tunnel=Tunnel(on=False)))
        event = raw.receive()
        assert (event["id"], event["seq"], event["event"]["tunnel"]) == (2, 1, {"on": False})


def test_states_between_two_events_are_skipped(paths: Paths) -> None:
    """Of many quick changes only the last is told."""
    with fake_daemon(paths, limits=Limits(event_interval=0.3)) as daemon, Raw(paths) as raw:
        raw.ask(b'{"id": 2, "do": "watch"}')
        for number in range(50):
            daemon.set(status(tunnel=Tunnel(on=number % 2 == 0)))
        seen = [raw.receive()["seq"]]
        while seen[-1] < 50:
            seen.append(raw.receive()["seq"])
        assert seen == sorted(set(seen))
        assert len(seen) < 50


def test_a_quiet_daemon_gives_signs_of_life(paths: Paths) -> None:
    """A heartbeat has the last number, and no state."""
    with fake_daemon(paths, limits=Limits(heartbeat=0.1)), Raw(paths) as raw:
        raw.ask(b'{"id": 2, "do": "watch"}')
        assert raw.receive() == {"id": 2, "seq": 0}
        assert raw.receive() == {"id": 2, "seq": 0}


def test_a_slow_watcher_is_dropped_and_costs_one_state(paths: Paths) -> None:
    """Whoever does not read holds one state at most, for a moment, and never the daemon's memory."""
    big = {f"server-{number}": Server("proxy.example:1080", "up") for number in range(5000)}
    size = len(messages.encode_state(2, 1, status(servers=big), first=False))
    hurried = Limits(drain=0.2, event_interval=0.0)
    with fake_daemon(paths, first=status(servers=big), limits=hurried) as daemon, Raw(paths) as raw:
        raw.send(b'{"id": 2, "do": "watch"}\n')
        for _ in range(20):
            daemon.set(status(servers=big))
        has_nobody(daemon)
        received = 0
        while data := raw.socket.recv(1 << 20):
            received += len(data)
        assert received < 2 * size


@pytest.mark.parametrize("farewell", [b"", b'{"id": 3, "do": "status"}\n'])
def test_a_watcher_that_leaves_is_noticed(paths: Paths, farewell: bytes) -> None:
    """Closing the connection ends the watch without waiting for an event; so does saying anything more."""
    with fake_daemon(paths) as daemon:
        with Raw(paths) as raw:
            raw.ask(b'{"id": 2, "do": "watch"}')
            raw.send(farewell)
            if farewell:
                assert raw.receive() is None
        has_nobody(daemon)


def test_a_watch_that_breaks_is_an_internal_error(
    paths: Paths, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watcher is told, and the log has the traceback."""

    async def broken(_seq: int) -> Any:
        raise ValueError("s3cret inside")

    with fake_daemon(paths) as daemon, Raw(paths) as raw:
        monkeypatch.setattr(daemon.server, "_watch", broken)
        answer = raw.ask(b'{"id": 2, "do": "watch"}')
        assert answer["error"]["code"] == "internal"
        assert raw.receive() is None
    assert "s3cret" not in str(answer)
    assert "watch failed" in caplog.text


# closing


def test_close_ends_everything_but_what_is_being_answered(paths: Paths) -> None:
    """Idle clients and watchers get the end; a request under way gets its answer; no task is left."""
    go, begun = threading.Event(), threading.Event()

    async def slow(_parameters: dict[str, Any]) -> object:
        begun.set()
        await asyncio.to_thread(go.wait, 10)
        return "done"

    with (
        fake_daemon(paths, {"stop": slow}) as daemon,
        Raw(paths) as idle,
        Raw(paths) as watcher,
        Raw(paths) as busy,
    ):
        watcher.ask(b'{"id": 2, "do": "watch"}')
        busy.send(b'{"id": 3, "do": "stop"}\n')
        assert begun.wait(10)
        closing = threading.Thread(target=daemon.close)
        closing.start()
        assert idle.receive() is None
        assert watcher.receive() is None
        go.set()
        assert busy.receive() == {"id": 3, "ok": "done"}
        assert busy.receive() is None
        closing.join()
        assert connected(daemon) == 0


def test_close_waits_only_so_long(paths: Paths) -> None:
    """A handler that does not end is ended."""
    with fake_daemon(paths, {"stop": _forever}, limits=Limits(farewell=0.05)) as daemon, Raw(paths) as raw:
        raw.send(b'{"id": 3, "do": "stop"}\n')
        wait_until(lambda: bool(daemon.calls), seconds=10, what="the handler has begun")
        daemon.close()
        assert raw.receive() is None
        assert connected(daemon) == 0


def test_no_task_outlives_close(paths: Paths) -> None:
    """After `close` the loop has only its caller's task."""

    async def main() -> int:
        async def watch(_seq: int) -> Any:
            await asyncio.Event().wait()

        with endpoint.claim(paths) as claimed:
            server = ControlServer(claimed, {}, watch)
            await server.start()
            clients = [await asyncio.to_thread(Raw, paths) for _ in range(3)]
            clients[0].send(b'{"id": 1, "do": "watch"}\n')
            await asyncio.sleep(0)  # the clients are in any state whatever
            await server.close()
            for client in clients:
                client.__exit__()
            return len(asyncio.all_tasks())

    assert asyncio.run(main()) == 1


def test_close_before_start_is_fine(paths: Paths) -> None:
    """A daemon whose start failed closes what it has."""

    async def watch(_seq: int) -> Any:
        raise NotImplementedError

    async def main() -> None:
        with endpoint.claim(paths) as claimed:
            await ControlServer(claimed, {}, watch).close()

    asyncio.run(main())


# strangers

AS_NOBODY = """
import os, socket, sys
os.setgid(65534); os.setuid(65534)
client = socket.socket(socket.AF_UNIX)
client.settimeout(10)
client.connect(sys.argv[1])
print(client.makefile().read())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_gets_a_refusal_and_nothing_else(paths: Paths) -> None:
    """The kernel's word decides, even where folder and socket were opened to all; no handler is called."""
    with fake_daemon(paths) as daemon:
        paths.runtime.parent.chmod(0o755)
        paths.runtime.chmod(0o755)
        (paths.runtime / "control.sock").chmod(0o777)
        command = [sys.executable, "-c", AS_NOBODY, str(paths.runtime / "control.sock")]
        said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
        paths.runtime.chmod(0o700)
        assert json.loads(said)["error"]["code"] == "peer-refused"
        assert daemon.calls == []
        assert Client(paths).status() == status()


@pytest.mark.parametrize(
    "opening",
    [
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n\r\n" + STATUS + b"\n",
        b"0" * 64 + b"\n" + STATUS + b"\n",
        STATUS + b"\n" + b" " * 64,
    ],
)
def test_without_the_token_there_is_no_answer(paths: Paths, opening: bytes) -> None:
    """A browser, or another user, learns nothing from the loopback port."""
    with fake_daemon(paths, transport=LoopbackTransport()) as daemon:
        port = json.loads((paths.runtime / "control.json").read_text())["port"]
        with socket.create_connection(("127.0.0.1", port), 10) as stranger:
            stranger.sendall(opening)
            with contextlib.suppress(ConnectionResetError):  # the kernel's word for "not all was read"
                assert stranger.recv(100) == b""
        has_nobody(daemon)
        assert daemon.calls == []


# running out of descriptors


class Exhausted(socket.socket):
    """A listening socket without a descriptor for `refusals` of its clients."""

    refusals = 0

    def accept(self) -> tuple[socket.socket, Any]:
        if self.refusals > 0:
            self.refusals -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


@pytest.mark.parametrize("refusals", [1, 2, 5])
def test_clients_wait_while_there_are_no_descriptors(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, refusals: int
) -> None:
    """The first from what was kept back, the others until some are free: nobody is lost."""

    def listen(self: UnixTransport, folder: Folder) -> socket.socket:
        listener = Exhausted(fileno=bind(self, folder).detach())
        listener.refusals = refusals
        return listener

    bind = UnixTransport.bind
    monkeypatch.setattr(UnixTransport, "bind", listen)
    with fake_daemon(paths, limits=Limits(accept_pause=0.05)):
        assert Client(paths).status() == status()


def test_a_client_that_leaves_before_it_is_accepted(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one is served."""

    class Aborted(Exhausted):
        def accept(self) -> tuple[socket.socket, Any]:
            if self.refusals > 0:
                self.refusals -= 1
                raise ConnectionAbortedError
            return super().accept()

    def listen(self: UnixTransport, folder: Folder) -> socket.socket:
        listener = Aborted(fileno=bind(self, folder).detach())
        listener.refusals = 1
        return listener

    bind = UnixTransport.bind
    monkeypatch.setattr(UnixTransport, "bind", listen)
    with fake_daemon(paths):
        assert Client(paths).status() == status()


OUT_OF_DESCRIPTORS = """
import asyncio, os, resource, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from fakes.control import States, status
from sockslocal.control.endpoint import claim
from sockslocal.control.server import ControlServer
from sockslocal.paths import Paths

async def main():
    root = Path(sys.argv[1])
    states = States(status())
    async def tell(_): return states.status
    with claim(Paths(root / "config.toml", root / "run", root / "state")) as endpoint:
        server = ControlServer(endpoint, {"status": tell}, states.watch)
        await server.start()
        await asyncio.sleep(0.1)
        taken = []
        try:
            while True:
                taken.append(os.dup(0))
        except OSError:
            print(len(taken), flush=True)
        told = asyncio.Event()
        asyncio.get_running_loop().add_reader(0, told.set)
        await told.wait()
        await server.close()

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
asyncio.run(main())
"""


def test_the_user_is_answered_when_descriptors_have_run_out(paths: Paths) -> None:
    """Some are kept back, so that `status` still can say what is wrong: time after time."""
    command = [sys.executable, "-c", OUT_OF_DESCRIPTORS, str(paths.runtime.parent), *sys.path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) > 10
        for _ in range(5):
            assert Client(paths, deadline=20).status() == status()
        process.communicate("")
        assert process.returncode == 0
