import asyncio
import contextlib
import errno
import logging
import os
import socket
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from fakes.engine import turns, until
from fakes.raw_server import exactly, raw_server, until_end
from fakes.servers import NOBODY, Servers
from fakes.socks5_server import Act, FakeServer, Script, Stage
from sockslocal.address import Endpoint, ListenAddress, UnixPath
from sockslocal.config.model import TcpForwardConfig
from sockslocal.errors import ListenError
from sockslocal.forwards.tcp import TcpForward
from sockslocal.net import dialer, owners
from sockslocal.net.engine import Engine
from sockslocal.net.route import Route
from sockslocal.status import Bytes, Connections

ANY_PORT = Endpoint("127.0.0.1", 0)


def forward_to(
    engine: Engine,
    route: Route,
    *targets: Endpoint,
    listen: tuple[ListenAddress, ...] = (ANY_PORT,),
    **more: Any,
) -> TcpForward:
    """An open forward."""
    forward = TcpForward(
        engine, TcpForwardConfig(name="db", listen=listen, to=targets, servers=("office",), **more), route
    )
    forward.open()
    return forward


def address_of(forward: TcpForward, index: int = 0) -> Any:
    """Where it listens."""
    return forward._listeners[index].address


async def exchanged(forward: TcpForward, payload: bytes, index: int = 0) -> bytes:
    """What comes back on a connection of its own until its end, which comes after ours."""
    reader, writer = await asyncio.open_connection(*address_of(forward, index))
    with contextlib.closing(writer):
        writer.write(payload)
        writer.write_eof()
        return await reader.read(-1)


async def is_reset(forward: TcpForward) -> bool:
    """Whether a new connection ends with RST; False for FIN, or octets."""
    with socket.create_connection(address_of(forward)) as program:
        program.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_recv(program, 1)
        except ConnectionResetError:
            return True
        return False


def shown(forward: TcpForward) -> tuple[Connections, Bytes]:
    """What is counted."""
    status = forward.snapshot("listening", None)
    return status.connections, status.bytes


async def ended(forward: TcpForward) -> None:
    """Wait until no connection is open."""
    await until(lambda: forward.open_connections == 0, "all connections ended")


async def test_a_connection_is_carried_to_the_target(
    engine: Engine, server: FakeServer, tcp_target: Endpoint
) -> None:
    """And counted: while it lives and afterwards, with the octets of each direction."""
    servers = Servers(engine, server.address)
    forward = forward_to(engine, servers.route, tcp_target)
    reader, writer = await asyncio.open_connection(*address_of(forward))
    writer.write(b"ping")
    assert await reader.readexactly(4) == b"ping"
    assert shown(forward) == (Connections(open=1, total=1, failed=0), Bytes(sent=4, received=4))
    writer.write(b"more")
    writer.write_eof()
    assert await reader.read(-1) == b"more"
    writer.close()
    await ended(forward)
    assert shown(forward) == (Connections(open=0, total=1, failed=0), Bytes(sent=8, received=8))
    assert await exchanged(forward, b"x" * 1_000_000) == b"x" * 1_000_000
    await ended(forward)
    assert shown(forward) == (
        Connections(open=0, total=2, failed=0),
        Bytes(sent=1_000_008, received=1_000_008),
    )
    forward.close()
    await servers.closed()
    assert {session.target for session in server.sessions} == {tcp_target}


async def test_what_is_shown(engine: Engine, server: FakeServer, tcp_target: Endpoint) -> None:
    """The configuration's addresses, the server in use, and what the supervisor knows."""
    servers = Servers(engine, server.address)
    forward = forward_to(engine, servers.route, tcp_target)
    status = forward.snapshot("listening", None)
    assert (status.kind, status.listen, status.to, status.server) == (
        "tcp",
        "127.0.0.1:0",
        str(tcp_target),
        "office",
    )
    assert (status.state, status.problem) == ("listening", None)
    problem = ListenError.of("tunnel-off").problem
    assert forward.snapshot("error", problem).problem is problem
    forward.close()
    await servers.closed()


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (Script(reply=5), "target-refused"),
        (Script(at=Stage.REPLY, act=Act.CLOSE), "target-refused"),
        (Script(at=Stage.METHOD, act=Act.RESET), "server-closed"),
        (Script(method=1), "server-wrong-method"),
        (Script(at=Stage.RELAY, act=Act.CLOSE), "target-closed"),
    ],
)
async def test_a_connection_that_fails_is_reset(
    engine: Engine, server: FakeServer, tcp_target: Endpoint, script: Script, code: str
) -> None:
    """The local program fails fast; the reason is shown until the next one succeeds."""
    server.script = script

    servers = Servers(engine, server.address)
    forward = forward_to(engine, servers.route, tcp_target)
    assert await is_reset(forward)
    await ended(forward)
    problem = forward.snapshot("listening", None).problem
    assert problem is not None
    assert problem.code == code
    assert problem.remedy
    assert shown(forward)[0] == Connections(open=0, total=1, failed=1)
    server.script = Script()
    assert await exchanged(forward, b"ping") == b"ping"
    assert forward.snapshot("listening", None).problem is None
    assert shown(forward)[0].failed == 1
    forward.close()
    await servers.closed()


async def test_success_and_silence_after_a_request_counts_as_failed(
    engine: Engine, tcp_target: Endpoint
) -> None:
    """A server that reports success before it connects closes later; the program had spoken already."""

    def play(sock: socket.socket) -> None:
        exactly(sock, 3)
        sock.sendall(b"\5\0")
        exactly(sock, 10)
        sock.sendall(b"\5\0\0\1\0\0\0\0\0\0")
        exactly(sock, len(b"GET /"))
        sock.shutdown(socket.SHUT_WR)
        until_end(sock)

    with raw_server(play) as address:
        servers = Servers(engine, address)
        forward = forward_to(engine, servers.route, tcp_target)
        reader, writer = await asyncio.open_connection(*address_of(forward))
        writer.write(b"GET /")
        assert await reader.read(-1) == b""
        writer.close()
        await ended(forward)
        problem = forward.snapshot("listening", None).problem
        assert problem is not None
        assert problem.code == "target-closed"
        assert str(tcp_target) in problem.text
        assert shown(forward)[0] == Connections(open=0, total=1, failed=1)
        forward.close()
        await servers.closed()


async def test_a_server_that_is_down(
    engine: Engine, tcp_target: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    """All connections are reset; as long as they fail alike the log says so once."""
    caplog.set_level(logging.INFO)

    servers = Servers(engine, NOBODY)
    forward = forward_to(engine, servers.route, tcp_target)
    for _ in range(3):
        assert await is_reset(forward)
    await ended(forward)
    assert shown(forward)[0] == Connections(open=0, total=3, failed=3)
    assert forward.problem is not None
    assert forward.problem.code == "server-unreachable"
    assert caplog.text.count("! forward db: 127.0.0.1:1 cannot be connected to") == 1
    forward.close()
    await servers.closed()
    nowhere = forward_to(engine, Route({}, ("office",)), tcp_target)
    assert await is_reset(nowhere)
    assert nowhere.problem is not None
    assert nowhere.problem.code == "tunnel-off"
    nowhere.close()


async def test_a_program_that_sends_and_closes_is_served(
    engine: Engine, server: FakeServer, tcp_target: Endpoint
) -> None:
    """Its FIN, before the way is open, means no more than that it has said all."""
    server.script = Script(at=Stage.REPLY, act=Act.DRIP, interval=0.01)

    servers = Servers(engine, server.address)
    forward = forward_to(engine, servers.route, tcp_target)
    assert await exchanged(forward, b"all of it") == b"all of it"
    forward.close()
    await servers.closed()


async def test_a_program_that_aborts_is_not_dialled_for(
    engine: Engine, server: FakeServer, tcp_target: Endpoint
) -> None:
    """Its RST, before the way is open, ends the dial; that is no failure of the way."""
    server.script = Script(at=Stage.REPLY, act=Act.STALL)

    servers = Servers(engine, server.address)
    forward = forward_to(engine, servers.route, tcp_target)
    with socket.create_connection(address_of(forward)) as program:
        await until(lambda: server.sessions and server.sessions[0].segments, "under way")
        program.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await ended(forward)
    await until(lambda: server.sessions[0].finished, "the server saw the end")
    assert shown(forward)[0] == Connections(open=0, total=1, failed=0)
    forward.close()
    await servers.closed()


async def test_a_range_has_a_target_for_each_port(engine: Engine, server: FakeServer) -> None:
    """The first port leads to the first target, and so on."""
    servers = Servers(engine, server.address)
    server.script = Script(reply=5)
    targets = tuple(Endpoint("db.internal", port) for port in (5432, 5433, 5434))
    forward = forward_to(engine, servers.route, *targets, listen=(ANY_PORT,) * 3)
    for index in range(3):
        with contextlib.suppress(OSError):  # the reset may come at any moment
            await exchanged(forward, b"", index)
    assert [session.target for session in server.sessions] == list(targets)
    assert forward.snapshot("listening", None).to == "db.internal:5432-5434"
    forward.close()
    await servers.closed()


async def test_a_port_in_use_opens_none_of_a_range(engine: Engine, server: FakeServer) -> None:
    """The forward is open as a whole or not at all."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        servers = Servers(engine, server.address)
        target = Endpoint("db.internal", 5432)
        with pytest.raises(ListenError) as caught:
            forward_to(
                engine,
                servers.route,
                target,
                target,
                listen=(ANY_PORT, Endpoint(*taken.getsockname())),
            )
        assert caught.value.problem.code == "port-in-use"
        await servers.closed()


async def test_a_unix_socket(
    engine: Engine, server: FakeServer, tcp_target: Endpoint, tmp_path: Path
) -> None:
    """A forward may listen there; only its user may connect."""
    if sys.platform == "win32":
        pytest.skip("Python has no Unix sockets on Windows")
    path = tmp_path / "db.sock"

    servers = Servers(engine, server.address)
    forward = forward_to(engine, servers.route, tcp_target, listen=(UnixPath(str(path)),), only_me=True)
    assert path.stat().st_mode & 0o777 == 0o600
    for _ in range(2):  # what a forward that was closed left behind does not hinder the next
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"ping")
        writer.write_eof()
        assert await reader.read(-1) == b"ping"
        writer.close()
        await ended(forward)
        forward.close()
        forward.open()
    forward.close()
    await servers.closed()


async def test_other_users_are_refused(
    engine: Engine,
    server: FakeServer,
    tcp_target: Endpoint,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With `only_me` their connections are reset, counted, and never dialled for; the log says so."""
    caplog.set_level("INFO")
    servers = Servers(engine, server.address)
    forward = forward_to(engine, servers.route, tcp_target, only_me=True)
    assert await exchanged(forward, b"ping") == b"ping"
    monkeypatch.setattr(owners, "owner", lambda _: owners.Owner.OTHER)
    assert await is_reset(forward)
    await ended(forward)
    assert shown(forward)[0] == Connections(open=0, total=2, failed=1)
    assert len(server.sessions) == 1
    assert "another user" in caplog.text
    forward.close()
    await servers.closed()


async def test_who_closed_at_once_is_refused_as_nobody(
    engine: Engine, server: FakeServer, tcp_target: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    """With `only_me` a program that closes before it is looked at counts as failed; it is no other user."""
    caplog.set_level("INFO")
    servers = Servers(engine, server.address)
    forward = forward_to(engine, servers.route, tcp_target, only_me=True)
    with socket.create_connection(address_of(forward)) as program:
        program.sendall(b"ping")
    await until(lambda: shown(forward)[0] == Connections(total=1, failed=1), "it was refused")
    assert forward.problem is None
    assert not server.sessions
    assert "another user" not in caplog.text
    forward.close()
    await servers.closed()


async def test_only_me_where_users_cannot_be_told_apart(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tcp_target: Endpoint
) -> None:
    """Then the forward does not open at all, rather than for everybody."""
    monkeypatch.setattr(owners, "available", lambda: False)

    with pytest.raises(ListenError) as caught:
        forward_to(engine, Route({}, ("office",)), tcp_target, only_me=True)
    assert caught.value.problem.code == "only-me-unavailable"
    assert caught.value.problem.remedy == "remove only_me from [tcp.db]"


async def test_closing_ends_connections_with_rst(
    engine: Engine, server: FakeServer, tcp_target: Endpoint
) -> None:
    """Those that are relayed and those under way; and the port can be had again at once."""
    servers = Servers(engine, server.address)
    forward = forward_to(engine, servers.route, tcp_target)
    address = address_of(forward)
    relayed = await asyncio.open_connection(*address)
    relayed[1].write(b"ping")
    assert await relayed[0].readexactly(4) == b"ping"
    server.script = Script(at=Stage.REPLY, act=Act.STALL)
    waiting = await asyncio.open_connection(*address)
    await until(lambda: len(server.sessions) == 2, "both are under way")
    forward.close()
    for reader, writer in (relayed, waiting):
        with pytest.raises(ConnectionResetError):
            await reader.read(-1)
        writer.close()
    await until(lambda: all(session.finished for session in server.sessions), "the server saw the ends")
    assert shown(forward) == (Connections(open=0, total=2, failed=0), Bytes(sent=4, received=4))
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)
    server.script = Script()
    again = forward_to(engine, servers.route, tcp_target, listen=(Endpoint(*address),))
    assert await exchanged(again, b"ping") == b"ping"
    again.close()
    forward.close()
    await servers.closed()


async def test_what_cannot_be_watched_is_not_listened_on(
    engine: Engine, server: FakeServer, tcp_target: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The forward is open as a whole or not at all; nothing of it is left open."""
    servers = Servers(engine, server.address)
    watch, watched = engine.poller._watch, list[socket.socket]()

    def full(sock: socket.socket) -> None:
        watched.append(sock)
        if len(watched) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        watch(sock)

    monkeypatch.setattr(engine.poller, "_watch", full)
    with pytest.raises(ListenError, match="no more sockets can be watched"):
        forward_to(engine, servers.route, tcp_target, tcp_target, tcp_target, listen=(ANY_PORT,) * 3)
    assert [sock.fileno() for sock in watched] == [-1, -1]
    assert engine.poller.watched == 0
    await servers.closed()


async def test_a_connection_that_cannot_be_watched_is_closed(
    engine: Engine, server: FakeServer, tcp_target: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts as failed, for a want of our own; the listener goes on."""
    servers = Servers(engine, server.address)
    forward = forward_to(engine, servers.route, tcp_target)

    def full(_sock: socket.socket) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as crowded:
        crowded.setattr(engine.poller, "_watch", full)
        assert await exchanged(forward, b"") == b""
    assert shown(forward)[0] == Connections(open=0, total=1, failed=1)
    assert forward.problem is not None
    assert forward.problem.code == "descriptors-exhausted"
    assert await exchanged(forward, b"ping") == b"ping"
    forward.close()
    await servers.closed()


async def test_a_forward_that_is_closed_has_no_problem(engine: Engine, tcp_target: Endpoint) -> None:
    """What failed while it was open is not shown of one that is off, nor when it is on again."""
    servers = Servers(engine, NOBODY)
    forward = forward_to(engine, servers.route, tcp_target)
    assert await is_reset(forward)
    await ended(forward)
    assert forward.snapshot("listening", None).problem is not None
    forward.close()
    assert forward.snapshot("off", None).problem is None
    await servers.closed()


async def test_connections_outlive_the_listener(
    engine: Engine, server: FakeServer, tcp_target: Endpoint
) -> None:
    """Draining: no new ones are accepted, and open ones come to their own end."""
    servers = Servers(engine, server.address)
    forward = forward_to(engine, servers.route, tcp_target)
    address = address_of(forward)
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"ping")
    assert await reader.readexactly(4) == b"ping"
    forward.stop_listening()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)
    writer.write(b"pong")
    writer.write_eof()
    assert await reader.read(-1) == b"pong"
    writer.close()
    await ended(forward)
    forward.close()
    await servers.closed()


async def test_a_relay_outlives_its_server(engine: Engine, server: FakeServer, tcp_target: Endpoint) -> None:
    """The server's settings may be replaced; what is open goes on."""
    servers = Servers(engine, server.address)
    forward = forward_to(engine, servers.route, tcp_target)
    reader, writer = await asyncio.open_connection(*address_of(forward))
    writer.write(b"ping")
    assert await reader.readexactly(4) == b"ping"
    await servers.closed()
    servers.clear()
    writer.write(b"pong")
    assert await reader.readexactly(4) == b"pong"
    writer.close()
    await ended(forward)
    assert await is_reset(forward)
    assert forward.problem is not None
    assert forward.problem.code == "tunnel-off"
    forward.close()


async def test_a_silent_server_fails_by_its_deadline(
    engine: Engine, server: FakeServer, tcp_target: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The local connection is reset then, and the others are not held up."""
    monkeypatch.setattr(dialer, "STAGE_S", dict.fromkeys(dialer.STAGE_S, 0.2))
    server.scripts.append(Script(at=Stage.METHOD, act=Act.STALL))

    servers = Servers(engine, server.address)
    forward = forward_to(engine, servers.route, tcp_target)
    silent = asyncio.create_task(is_reset(forward))
    await until(lambda: server.sessions, "the silent one is under way")
    assert await exchanged(forward, b"ping") == b"ping"
    assert await silent
    assert forward.problem is not None
    assert forward.problem.code == "server-timeout"
    await turns()
    forward.close()
    await servers.closed()
