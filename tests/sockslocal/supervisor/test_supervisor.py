import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fakes.engine import run as run_engine
from fakes.engine import turns, until
from fakes.probe_target import probe_target
from fakes.socks5_server import Act, FakeServer, Script, Stage
from integration.daemon import section
from integration.servers.process import free_port
from sockslocal.address import Endpoint
from sockslocal.config.load import load
from sockslocal.errors import ConfigError, ControlError, CredentialsError
from sockslocal.net.engine import Engine
from sockslocal.net.profiles import ProfileStore
from sockslocal.problems import Problem
from sockslocal.secret import Secret
from sockslocal.status import Status
from sockslocal.supervisor import Supervisor, Switches, services, supervisor
from sockslocal.supervisor import dns as dns_module

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server that wants a login."""
    with FakeServer(credentials=(b"ana", b"hunter2")) as running:
        yield running


class Made:
    """A supervisor with its files."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self.config = folder / "config.toml"
        self.password: str | CredentialsError = "hunter2"
        self.readings = 0
        self.supervisor = self.make()

    def make(self) -> Supervisor:
        """A supervisor, as a new process would have it."""
        return Supervisor(self.engine, Switches(self.folder / "switches.json"), self._read)

    def write(self, *sections: str) -> None:
        """Write the configuration."""
        self.config.write_text("\n".join(sections))

    def apply(self, *sections: str) -> list[str]:
        """Apply a configuration; gives what changed."""
        self.write(*sections)
        return self.supervisor.apply(load(self.config))

    def reload(self, *sections: str) -> list[str]:
        """Change the configuration and have it read again."""
        self.write(*sections)
        return self.supervisor.reload()

    @property
    def status(self) -> Status:
        return self.supervisor.snapshot()

    async def up(self, name: str = "office") -> None:
        """Wait until the server is up."""
        await until(lambda: self.status.servers[name].state == "up", f"{name} is up")

    async def _read(self, _config: object) -> Secret:
        self.readings += 1
        if isinstance(self.password, CredentialsError):
            raise self.password
        return Secret(self.password)


Test = Callable[[Made], Awaitable[None]]
Run = Callable[[Test], None]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a test with a supervisor, which is closed at the end."""

    def run_test(test: Test) -> None:
        async def main(engine: Engine) -> None:
            made = Made(engine, tmp_path)
            await test(made)
            await made.supervisor.close()
            await until(lambda: not engine.poller._handlers, "all is closed")

        run_engine(main)

    return run_test


def office(server: FakeServer, **more: object) -> str:
    """The table of the server."""
    more = {"udp_probe": "off", **more}
    return section("server.office", address=f"127.0.0.1:{server.port}", username="ana", **more)


def tcp(name: str, port: int, target: Endpoint, **more: object) -> str:
    """A TCP forward."""
    return section(f"tcp.{name}", listen=f"127.0.0.1:{port}", to=str(target), **more)


def udp(name: str, port: int, target: Endpoint, **more: object) -> str:
    """A UDP forward."""
    return section(f"udp.{name}", listen=f"127.0.0.1:{port}", to=str(target), **more)


def dns(port: int, **more: object) -> str:
    """A resolver."""
    return section("dns", listen=f"127.0.0.1:{port}", upstreams=["udp://127.0.0.1:1"], **more)


async def connected(port: int) -> Connection:
    """A connection that is relayed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await echoes((reader, writer))
    return reader, writer


async def echoes(connection: Connection) -> None:
    """It lives."""
    reader, writer = connection
    writer.write(b"ping")
    assert await reader.readexactly(4) == b"ping"


async def is_cut(connection: Connection) -> None:
    """It was ended from here."""
    reader, writer = connection
    with pytest.raises(ConnectionResetError):
        await reader.read(-1)
    writer.close()


async def datagram_echoes(port: int) -> bool:
    """Whether a datagram through the forward comes back."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as program:
        program.setblocking(False)
        program.connect(("127.0.0.1", port))
        received: list[bytes] = []

        def collect() -> list[bytes]:
            with contextlib.suppress(OSError):
                program.send(b"ping")
                received.append(program.recv(100))
            return received

        await until(collect, "the echo")
    return received[0] == b"ping"


# what is shown


def test_nothing_is_configured(run: Run) -> None:
    """An empty file is a configuration: all is there, and nothing in it."""

    async def test(made: Made) -> None:
        assert made.apply() == []
        status = made.status
        assert (status.servers, status.forwards, status.dns, status.problems) == ({}, {}, None, ())
        assert status.tunnel.on
        assert status.daemon.pid > 0
        assert status.daemon.rss_bytes > 1_000_000
        assert status.daemon.uptime_s >= 0

    run(test)


def test_the_status_has_the_keys_that_users_rely_on(
    run: Run, server: FakeServer, tcp_target: Endpoint, udp_target: Endpoint
) -> None:
    """As the interface names them, with the words it has for the states."""
    ports = free_port(), free_port(), free_port()

    async def test(made: Made) -> None:
        made.apply(
            office(server), tcp("db", ports[0], tcp_target), udp("game", ports[1], udp_target), dns(ports[2])
        )
        await made.up()
        connection = await connected(ports[0])
        assert await datagram_echoes(ports[1])
        status = json.loads(msgspec.json.encode(made.status))
        assert status["version"] == 1
        daemon = status["daemon"]
        assert set(daemon) >= {"pid", "version", "uptime_s", "rss_bytes"}
        assert (daemon["state"], daemon["stops_within_s"]) == ("running", None)
        assert daemon["config"] == str(made.config)
        assert status["tunnel"] == {"on": True}
        shown = status["servers"]["office"]
        assert shown.pop("latency_ms") > 0
        assert shown == {
            "address": f"127.0.0.1:{server.port}",
            "state": "up",
            "udp": "associate",
            "problem": None,
        }
        assert status["forwards"]["db"] == {
            "kind": "tcp",
            "listen": f"127.0.0.1:{ports[0]}",
            "to": str(tcp_target),
            "server": "office",
            "state": "listening",
            "problem": None,
            "connections": {"open": 1, "total": 1, "failed": 0},
            "bytes": {"sent": 4, "received": 4},
            "dropped": 0,
        }
        assert status["forwards"]["game"]["kind"] == "udp"
        assert status["forwards"]["game"]["connections"] == {"open": 1, "total": 1, "failed": 0}
        assert status["udp"] == {"associations": 1, "flows": 1}
        assert status["dns"] == {
            "listen": f"127.0.0.1:{ports[2]}",
            "server": "office",
            "state": "listening",
            "queries": 0,
            "cache_hits": 0,
            "failed": 0,
            "problem": None,
            "system": "",
        }
        connection[1].close()

    run(test)


def test_no_password_is_shown(run: Run, server: FakeServer, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in the status nor in the log, whatever its level."""
    caplog.set_level(logging.DEBUG)

    async def test(made: Made) -> None:
        made.apply(office(server))
        await made.up()
        made.password = "wrong-one"
        made.supervisor.credentials_changed("office")
        await until(lambda: made.status.servers["office"].state == "auth-failed", "rejected")
        shown = f"{msgspec.json.encode(made.status)!r} {caplog.text} {vars(made.supervisor)!r}"
        assert "hunter2" not in shown
        assert "wrong-one" not in shown

    run(test)


# reloading


def test_what_did_not_change_keeps_its_connections(
    run: Run, server: FakeServer, tcp_target: Endpoint, udp_target: Endpoint
) -> None:
    """Adding and removing forwards around it leaves the same object with the same connections."""
    ports = [free_port() for _ in range(4)]
    kept, flows = tcp("db", ports[0], tcp_target), udp("game", ports[1], udp_target)

    async def test(made: Made) -> None:
        assert made.apply(office(server), kept, flows) == ["office", "db", "game"]
        await made.up()
        connection = await connected(ports[0])
        assert await datagram_echoes(ports[1])
        before = dict(made.supervisor._forwards)
        assert made.reload(office(server), tcp("web", ports[2], tcp_target), kept, flows, dns(ports[3])) == [
            "web",
            "dns",
        ]
        assert list(made.status.forwards) == ["web", "db", "game"]
        await echoes(connection)
        await echoes(new := await connected(ports[2]))
        assert made.reload(office(server), flows, kept) == ["web", "dns"]
        await is_cut(new)
        await echoes(connection)
        after = made.supervisor._forwards
        assert (after["db"], after["game"]) == (before["db"], before["game"])
        assert made.status.dns is None
        assert made.status.udp.associations == 1
        assert made.reload(office(server), flows, kept) == []
        assert len(server.sessions) == 4
        connection[1].close()

    run(test)


def test_what_changed_is_replaced(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """Its connections end, also where two forwards exchange their ports."""
    ports = free_port(), free_port()

    async def test(made: Made) -> None:
        made.apply(office(server), tcp("one", ports[0], tcp_target), tcp("two", ports[1], tcp_target))
        await made.up()
        connection = await connected(ports[0])
        assert made.reload(
            office(server), tcp("one", ports[1], tcp_target), tcp("two", ports[0], tcp_target)
        ) == [
            "one",
            "two",
        ]
        await is_cut(connection)
        assert [forward.state for forward in made.status.forwards.values()] == ["listening"] * 2
        new = await connected(ports[1])
        assert made.status.forwards["one"].connections.open == 1
        new[1].close()

    run(test)


def test_a_changed_server_is_replaced_under_its_forwards(
    run: Run, server: FakeServer, tcp_target: Endpoint, udp_target: Endpoint
) -> None:
    """The forward stays, open connections go on, and new ones take the new settings."""
    ports = free_port(), free_port()

    async def test(made: Made) -> None:
        forwards = tcp("db", ports[0], tcp_target), udp("game", ports[1], udp_target)
        made.apply(office(server), *forwards)
        await made.up()
        connection = await connected(ports[0])
        assert await datagram_echoes(ports[1])
        before = made.supervisor._forwards["db"]
        with FakeServer() as other:
            new = section("server.office", address=f"127.0.0.1:{other.port}", udp_probe="off")
            assert made.reload(new, *forwards) == ["office"]
            await made.up()
            assert made.supervisor._forwards["db"] is before
            await echoes(connection)
            again = await connected(ports[0])
            assert await datagram_echoes(ports[1])
            assert {session.command for session in other.sessions} == {0, 1, 3}
            assert made.status.forwards["db"].connections.open == 2
            again[1].close()
            connection[1].close()
            await until(lambda: not made.status.forwards["db"].connections.open, "both ended")

    run(test)


def test_a_bad_file_changes_nothing(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """It is shown with its line until it is mended; what runs goes on."""
    port = free_port()
    good = office(server), tcp("db", port, tcp_target)

    async def test(made: Made) -> None:
        made.apply(*good)
        await made.up()
        connection = await connected(port)
        seq, _ = await made.supervisor.changes.after(-1)
        with pytest.raises(ConfigError):
            made.reload(*good, "nonsense = [")
        (problem,) = made.status.problems
        assert problem.code == "config-invalid"
        assert problem.text.startswith(f"{made.config}:")
        assert (await made.supervisor.changes.after(seq))[0] > seq
        await echoes(connection)
        made.config.unlink()
        with pytest.raises(ConfigError):
            made.supervisor.reload()
        assert [problem.code for problem in made.status.problems] == ["config-vanished"]
        with pytest.raises(ConfigError):
            made.reload("# an interrupted save")
        assert [problem.code for problem in made.status.problems] == ["config-emptied"]
        assert list(made.status.forwards) == ["db"]
        assert made.reload(*good) == []
        assert made.status.problems == ()
        await echoes(connection)
        connection[1].close()

    run(test)


def test_who_watches_is_told_at_once(
    run: Run, server: FakeServer, tcp_target: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a bad file, of one that was mended, of a switch; counters alone can wait."""
    monkeypatch.setattr("sockslocal.supervisor.changes.COUNTERS_S", 3600.0)
    port = free_port()

    async def test(made: Made) -> None:
        made.apply(office(server), tcp("db", port, tcp_target))
        await made.up()
        seq = (await made.supervisor.changes.after(-1))[0]

        def bad() -> None:
            with pytest.raises(ConfigError):
                made.reload("nonsense = [")

        def off() -> None:
            made.supervisor.switch(["db"], on=False)

        for act in (bad, lambda: made.reload(office(server), tcp("db", port, tcp_target)), off):
            waiting = asyncio.create_task(made.supervisor.changes.after(seq))
            await turns()
            assert not waiting.done()
            act()
            async with asyncio.timeout(10):
                seq = (await waiting)[0]

    run(test)


def test_a_reload_tries_passwords_again(run: Run, server: FakeServer) -> None:
    """What could not be read may have been what the user mended."""

    async def test(made: Made) -> None:
        made.password = CredentialsError.of(
            "password-source-failed",
            server="office",
            done="read from",
            where="a file",
            reason="gone",
            remedy="x",
        )
        made.apply(office(server))
        await until(lambda: made.status.servers["office"].state == "auth-failed", "it cannot be read")
        await turns(20)
        assert made.readings == 1
        made.password = "hunter2"
        assert made.reload(office(server)) == []
        await made.up()
        assert made.readings == 2

    run(test)


# switches


def test_switching_a_forward(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """Off: its connections end and its port is free; on: it works again. Others hear nothing of it."""
    ports = free_port(), free_port()

    async def test(made: Made) -> None:
        made.apply(office(server), tcp("db", ports[0], tcp_target), tcp("web", ports[1], tcp_target))
        await made.up()
        connection, other = await connected(ports[0]), await connected(ports[1])
        made.supervisor.switch(["db"], on=False)
        assert made.status.forwards["db"].state == "off"
        await is_cut(connection)
        with pytest.raises(ConnectionRefusedError):
            await connected(ports[0])
        await echoes(other)
        made.supervisor.switch(["db"], on=True)
        again = await connected(ports[0])
        again[1].close()
        other[1].close()

    run(test)


def test_switching_the_tunnel(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """Off: all is closed, and no server spoken to; on: all is as before, but for what is off by itself."""
    ports = free_port(), free_port(), free_port()

    async def test(made: Made) -> None:
        made.apply(
            office(server), tcp("db", ports[0], tcp_target), tcp("web", ports[1], tcp_target), dns(ports[2])
        )
        await made.up()
        connection = await connected(ports[0])
        made.supervisor.switch(["web"], on=False)
        made.supervisor.switch([], on=False)
        await is_cut(connection)
        status = made.status
        assert not status.tunnel.on
        assert [forward.state for forward in status.forwards.values()] == ["off", "off"]
        assert status.servers["office"].state == "unknown"
        assert status.dns is not None
        assert status.dns.state == "off"
        made.supervisor.credentials_changed("office")
        made.supervisor.switch([], on=True)
        await made.up()
        assert [forward.state for forward in made.status.forwards.values()] == ["listening", "off"]
        again = await connected(ports[0])
        again[1].close()

    run(test)


def test_the_resolver_is_switched_like_a_forward(run: Run, server: FakeServer) -> None:
    """By the name `dns`."""
    port = free_port()

    async def test(made: Made) -> None:
        made.apply(office(server), dns(port))
        assert made.supervisor.resolver
        made.supervisor.switch(["dns"], on=False)
        assert made.status.dns is not None
        assert made.status.dns.state == "off"
        with pytest.raises(ControlError):
            _ = made.supervisor.resolver
        made.supervisor.switch(["dns"], on=True)
        assert made.supervisor.resolver

    run(test)


def test_other_rules_keep_the_resolver(run: Run, server: FakeServer) -> None:
    """Its listeners and what waits for an answer have nothing to do with them."""
    port = free_port()
    blocking = section("dns.rules", **{'"ads.example"': "block"})

    async def test(made: Made) -> None:
        made.apply(office(server), dns(port))
        resolver = made.supervisor.resolver
        assert made.reload(office(server), dns(port, filter_aaaa=True), blocking) == ["dns"]
        assert made.supervisor.resolver is resolver
        assert (await resolver.query("x.ads.example", "A")).rcode == "NXDOMAIN"
        assert made.reload(office(server), dns(port)) == ["dns"]
        assert made.supervisor.resolver is resolver

    run(test)


def test_switches_outlive_the_process(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """What was switched off is off in the next one; `enabled` in the file has to agree for it to be on."""
    ports = free_port(), free_port()

    async def test(made: Made) -> None:
        sections = (
            office(server),
            tcp("db", ports[0], tcp_target),
            tcp("web", ports[1], tcp_target, enabled=False),
        )
        made.apply(*sections)
        made.supervisor.switch(["db", "web"], on=False)
        await made.supervisor.close()
        made.supervisor = made.make()
        made.apply(*sections)
        assert [forward.state for forward in made.status.forwards.values()] == ["off", "off"]
        made.supervisor.switch(["db", "web"], on=True)
        assert [forward.state for forward in made.status.forwards.values()] == ["listening", "off"]

    run(test)


def test_a_switch_goes_with_its_forward(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """A forward that was switched off and removed is on when one of that name is added again."""
    port = free_port()

    async def test(made: Made) -> None:
        made.apply(office(server), tcp("db", port, tcp_target))
        made.supervisor.switch(["db"], on=False)
        made.reload(office(server))
        made.reload(office(server), tcp("db", port, tcp_target))
        assert made.status.forwards["db"].state == "listening"

    run(test)


def test_an_unknown_name_switches_nothing(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """Not even those that are known beside it; the error names them."""
    port = free_port()

    async def test(made: Made) -> None:
        made.supervisor.switch([], on=True)
        made.apply(office(server), tcp("db", port, tcp_target))
        with pytest.raises(ControlError) as caught:
            made.supervisor.switch(["db", "bd"], on=False)
        assert caught.value.problem.text == 'there is no forward "bd"; known are "db"'
        assert made.status.forwards["db"].state == "listening"

    run(test)


# bad luck


def test_a_port_in_use_is_that_forwards_error(
    run: Run, server: FakeServer, tcp_target: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names who has the port and what would help; others run, and it opens once the port is free."""
    monkeypatch.setattr(services, "FIRST_RETRY_S", 0.05)
    ports = free_port(), free_port()
    taken = socket.create_server(("127.0.0.1", ports[0]))

    async def test(made: Made) -> None:
        made.apply(office(server), tcp("db", ports[0], tcp_target), tcp("web", ports[1], tcp_target))
        await made.up()
        shown = made.status.forwards["db"]
        assert shown.state == "error"
        assert shown.problem is not None
        assert shown.problem.code == "port-in-use"
        assert "sockslocal forward set db --listen" in shown.problem.remedy
        other = await connected(ports[1])
        taken.close()
        await until(lambda: made.status.forwards["db"].state == "listening", "the port is free")
        connection = await connected(ports[0])
        for each in (connection, other):
            each[1].close()

    with taken:
        run(test)


def test_a_server_that_goes_and_comes_is_logged(
    run: Run, server: FakeServer, tcp_target: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    """A line each time, whatever is dialled in between."""
    caplog.set_level(logging.INFO)
    port = free_port()

    async def test(made: Made) -> None:
        made.apply(office(server), tcp("db", port, tcp_target))
        await made.up()
        server.stop()
        for _ in range(3):
            with contextlib.suppress(ConnectionError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                await reader.read(-1)
        await until(lambda: made.status.servers["office"].state == "down", "it is gone")
        server.start()
        await made.up()

    run(test)
    told = [line.split(":")[0] for line in caplog.messages if "server office" in line]
    assert told == ["= server office is up", "! server office is down", "= server office is up"]


def test_what_went_wrong_ends_with_the_servers_return(
    run: Run, server: FakeServer, tcp_target: Endpoint
) -> None:
    """Forwards and the resolver have no problem any more when their server is up, without any traffic."""
    tcp_port, udp_port, dns_port = free_port(), free_port(), free_port()

    async def test(made: Made) -> None:
        server.stop()
        made.apply(
            office(server),
            tcp("db", tcp_port, tcp_target),
            udp("game", udp_port, tcp_target),
            dns(dns_port, enabled=True),
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", tcp_port)
        with contextlib.suppress(ConnectionError):
            await reader.read(-1)
        writer.close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as program:
            program.sendto(b"ping", ("127.0.0.1", udp_port))
            await until(lambda: made.status.forwards["game"].problem, "the datagram is lost")
        await made.supervisor.resolver.query("example.com", "A")
        assert made.status.forwards["db"].problem
        assert made.status.dns
        assert made.status.dns.problem
        server.start()
        await made.up()
        assert [forward.problem for forward in made.status.forwards.values()] == [None, None]
        assert made.status.dns.problem is None

    run(test)


@pytest.mark.parametrize("code", ["target-refused", "other-user-refused", "server-timeout"])
def test_what_is_not_of_the_way_outlives_the_servers_return(
    run: Run, server: FakeServer, tcp_target: Endpoint, code: str
) -> None:
    """A target that is not reached, or another user, is not mended by a server that is up."""

    async def test(made: Made) -> None:
        server.stop()
        made.apply(office(server), tcp("db", free_port(), tcp_target))
        await until(lambda: made.status.servers["office"].state == "down", "it is gone")
        forward = made.supervisor._forwards["db"]
        forward.problem = Problem(code, "", "", "")
        server.start()
        await made.up()
        assert (forward.problem is None) == (code == "server-timeout")

    run(test)


def test_what_was_not_kept_is_kept_at_the_end(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """And while it runs, where somebody looks long after."""

    async def test(made: Made) -> None:
        path = made.folder / "switches.json"
        made.apply(office(server), tcp("db", free_port(), tcp_target))
        path.mkdir()
        made.supervisor.switch(["db"], on=False)
        path.rmdir()
        assert [problem.code for problem in made.status.problems] == ["switches-unkept"]
        await made.supervisor.close()
        assert not Switches(path).is_on("db")

    run(test)


def test_what_is_wrong_with_nothing_in_particular(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """Switches that cannot be kept, and descriptors that ran out, stand in the list of problems."""

    async def test(made: Made) -> None:
        made.apply(office(server), tcp("db", free_port(), tcp_target))
        (made.folder / "switches.json").mkdir()
        made.supervisor.switch(["db"], on=False)
        made.engine.budget.wait("db", "too many open files")
        assert [problem.code for problem in made.status.problems] == [
            "switches-unkept",
            "descriptors-exhausted",
        ]

    run(test)


def test_a_locked_keyring(
    run: Run, server: FakeServer, tcp_target: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is up but the server; connections fail with the reason until it is unlocked."""
    monkeypatch.setattr("sockslocal.supervisor.logins.FIRST_RETRY_S", 0.05)
    port = free_port()

    async def test(made: Made) -> None:
        made.password = CredentialsError.of("needs-unlock", server="office", reason="is locked")
        made.apply(office(server), tcp("db", port, tcp_target))
        await until(lambda: made.status.servers["office"].state == "needs-unlock", "it is shown")
        with contextlib.suppress(ConnectionError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            assert await reader.read(-1) == b""
        made.password = "hunter2"
        await made.up()
        connection = await connected(port)
        connection[1].close()

    run(test)


def test_a_rejected_password_and_a_new_one(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """The new one is used at once."""
    port = free_port()

    async def test(made: Made) -> None:
        made.password = "wrong-one"
        made.apply(office(server), tcp("db", port, tcp_target))
        await until(lambda: made.status.servers["office"].state == "auth-failed", "rejected")
        made.password = "hunter2"
        made.supervisor.credentials_changed("office")
        await made.up()
        connection = await connected(port)
        connection[1].close()
        with pytest.raises(ControlError) as caught:
            made.supervisor.credentials_changed("home")
        assert 'known are "office"' in caught.value.problem.text

    run(test)


def test_credentials_of_no_configuration(run: Run) -> None:
    """Before the first one there is no server to have any."""

    async def test(made: Made) -> None:
        with pytest.raises(ControlError) as caught:
            made.supervisor.credentials_changed("office")
        assert "none is configured" in caught.value.problem.text

    run(test)


# the end


def test_draining_lets_connections_end(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """No new ones are accepted; it returns as soon as the open ones have ended."""
    port = free_port()

    async def test(made: Made) -> None:
        made.apply(office(server), tcp("db", port, tcp_target))
        await made.up()
        connection = await connected(port)
        draining = asyncio.create_task(made.supervisor.drain(3600.0))
        await turns()
        with pytest.raises(ConnectionRefusedError):
            await connected(port)
        await echoes(connection)
        assert not draining.done()
        connection[1].close()
        async with asyncio.timeout(10):
            await draining

    run(test)


def test_draining_is_told(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """Whoever watches hears at once that it stops, and how long that may take; nothing listens any more."""
    ports = free_port(), free_port()

    async def test(made: Made) -> None:
        made.apply(office(server), tcp("db", ports[0], tcp_target), udp("game", ports[1], tcp_target))
        await made.up()
        connection = await connected(ports[0])
        seq, _ = await made.supervisor.changes.after(-1)
        draining = asyncio.create_task(made.supervisor.drain(3600.0))
        async with asyncio.timeout(10):
            while True:
                seq, shown = await made.supervisor.changes.after(seq)
                if shown.daemon.state == "stopping":
                    break
        assert shown.daemon.stops_within_s is not None
        assert 3000.0 < shown.daemon.stops_within_s <= 3600.0
        assert {name: forward.state for name, forward in shown.forwards.items()} == {
            "db": "off",
            "game": "listening",
        }
        assert shown.forwards["db"].connections.open == 1
        connection[1].close()
        async with asyncio.timeout(10):
            await draining

    run(test)


def test_draining_has_an_end(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """What does not end by itself is cut by closing."""
    port = free_port()

    async def test(made: Made) -> None:
        made.apply(office(server), tcp("db", port, tcp_target))
        await made.up()
        connection = await connected(port)
        async with asyncio.timeout(10):
            await made.supervisor.drain(0.01)
        await echoes(connection)
        await made.supervisor.close()
        await is_cut(connection)

    run(test)


def test_nothing_opens_while_it_drains(
    run: Run, server: FakeServer, tcp_target: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A port that was in use is not tried again then."""
    monkeypatch.setattr(services, "FIRST_RETRY_S", 0.01)
    ports = free_port(), free_port()
    taken = socket.create_server(("127.0.0.1", ports[0]))

    async def test(made: Made) -> None:
        made.apply(office(server), tcp("db", ports[0], tcp_target), tcp("web", ports[1], tcp_target))
        await made.up()
        connection = await connected(ports[1])
        draining = asyncio.create_task(made.supervisor.drain(0.2))
        await turns()
        taken.close()
        await draining
        assert made.status.forwards["db"].state == "error"
        connection[1].close()

    with taken:
        run(test)


def test_nothing_is_switched_on_while_it_drains(run: Run, server: FakeServer, tcp_target: Endpoint) -> None:
    """Nor by a reload; what is on may still be switched off."""
    ports = free_port(), free_port(), free_port()

    async def test(made: Made) -> None:
        forwards = tcp("db", ports[0], tcp_target), tcp("web", ports[1], tcp_target)
        made.apply(office(server), *forwards)
        await made.up()
        made.supervisor.switch(["web"], on=False)
        connection = await connected(ports[0])
        draining = asyncio.create_task(made.supervisor.drain(3600.0))
        await turns()
        made.supervisor.switch(["web"], on=True)
        made.reload(office(server), *forwards, tcp("mail", ports[2], tcp_target))
        states = {name: forward.state for name, forward in made.status.forwards.items()}
        assert states == {"db": "off", "web": "off", "mail": "off"}
        for port in ports:
            with pytest.raises(ConnectionRefusedError):
                await connected(port)
        await echoes(connection)
        made.supervisor.switch([], on=False)
        await is_cut(connection)
        made.supervisor.switch([], on=True)
        assert made.supervisor._servers == {}
        async with asyncio.timeout(10):
            await draining

    run(test)


def test_a_resolver_that_was_replaced_is_waited_for(
    run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing ends no sooner than what was begun to be closed before."""
    monkeypatch.setattr(dns_module, "CLOSE_GRACE_S", 0.2)
    ports = free_port(), free_port()

    async def test(made: Made) -> None:
        server.script = Script(reply=7)
        made.apply(office(server), dns(ports[0]))
        await made.up()
        made.reload(office(server), dns(ports[1]))
        assert len(made.supervisor._endings) == 1
        await made.supervisor.close()
        assert made.supervisor._endings == set()

    run(test)


def test_closing_cancels_what_is_read(run: Run, server: FakeServer) -> None:
    """A password that is being read is nobody's any more."""
    cancelled: list[bool] = []

    async def test(made: Made) -> None:
        async def read(_config: object) -> Any:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(True)
                raise

        made.supervisor._read_password = read
        made.apply(office(server))
        await turns()

    run(test)
    assert cancelled == [True]


# what servers can do


def test_what_is_found_out_of_a_server_is_kept(run: Run, server: FakeServer, tmp_path: Path) -> None:
    """By the next process too; two who want to know it wait for each other."""

    async def test(made: Made) -> None:
        store = ProfileStore(tmp_path / "profiles.json")
        made.supervisor = Supervisor(made.engine, Switches(tmp_path / "s.json"), made._read, store)
        with probe_target() as probe:
            made.apply(office(server, udp_probe=str(probe)))
            await made.up()
            first, second = await asyncio.gather(
                made.supervisor.examine("office"), made.supervisor.examine("office")
            )
        assert first.summary == second.summary == "Connections and datagrams pass."
        assert made.status.servers["office"].udp == "associate"
        (kept,) = ProfileStore(tmp_path / "profiles.json")._profiles.values()
        assert kept == second.profile

    run(test)


def test_what_is_found_out_outlives_a_reload(run: Run, server: FakeServer) -> None:
    """A server that was replaced meanwhile goes by it too, if its settings are the same; another does not."""

    async def test(made: Made) -> None:
        with probe_target() as probe:
            table = office(server, udp_probe=str(probe))
            made.apply(table)
            await made.up()
            for reload, udp in (
                ((table, "[limits]\nflows = 100"), "associate"),
                ((office(server, udp_probe=str(probe), connect_timeout="7s"),), "unknown"),
            ):
                testing = asyncio.create_task(made.supervisor.examine("office"))
                await turns()
                before = made.supervisor._servers["office"]
                made.reload(*reload)
                assert made.supervisor._servers["office"] is not before
                assert (await testing).profile.rung == "associate"
                assert made.status.servers["office"].udp == udp

    run(test)


def test_who_waits_long_for_a_test_is_told(
    run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In time, and that others are running; the one that runs goes on."""
    monkeypatch.setattr(supervisor, "TURN_S", 0.01)

    async def test(made: Made) -> None:
        made.apply(office(server))
        await made.up()
        server.script = Script(at=Stage.METHOD, act=Act.STALL)
        before = len(server.sessions)
        first = asyncio.create_task(made.supervisor.examine("office"))
        await until(lambda: len(server.sessions) > before, "it has begun")
        with pytest.raises(ControlError) as caught:
            await made.supervisor.examine("office")
        assert caught.value.problem.code == "test-busy"
        assert not first.done()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)

    run(test)


def test_tests_do_not_run_side_by_side(run: Run, server: FakeServer) -> None:
    """The server has to bear the connections of one alone."""

    async def test(made: Made) -> None:
        made.apply(office(server))
        await made.up()
        server.script = Script(at=Stage.METHOD, act=Act.STALL)
        before = len(server.sessions)
        tests = [asyncio.create_task(made.supervisor.examine("office")) for _ in range(3)]
        await until(lambda: len(server.sessions) > before, "one has begun")
        await turns()
        assert len(server.sessions) == before + 1
        for task in tests:
            task.cancel()
        await asyncio.gather(*tests, return_exceptions=True)

    run(test)
