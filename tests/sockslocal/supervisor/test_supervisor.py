import asyncio
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fakes.engine import turns, until
from fakes.socks5_server import FakeServer
from fakes.supervised import Made, Run, connected, datagram_echoes, dns, echoes, is_cut, office, tcp, udp
from integration.daemon import section
from integration.servers.process import free_port
from sockslocal.address import Endpoint
from sockslocal.errors import ConfigError, CredentialsError


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


def status_in_use(
    run: Run, server: FakeServer, ports: Sequence[int], tcp_target: Endpoint, udp_target: Endpoint
) -> dict[str, Any]:
    """The status as it is written, with a connection, a flow and a resolver that wait for more."""
    found: dict[str, Any] = {}

    async def test(made: Made) -> None:
        made.apply(
            office(server), tcp("db", ports[0], tcp_target), udp("game", ports[1], udp_target), dns(ports[2])
        )
        await made.up()
        connection = await connected(ports[0])
        assert await datagram_echoes(ports[1])
        found.update(json.loads(msgspec.json.encode(made.status)))
        connection[1].close()

    run(test)
    return found


def test_the_status_has_the_keys_that_users_rely_on(
    run: Run, server: FakeServer, tcp_target: Endpoint, udp_target: Endpoint, tmp_path: Path
) -> None:
    """As the interface names them, with the words it has for the states."""
    ports = free_port(), free_port(), free_port()
    status = status_in_use(run, server, ports, tcp_target, udp_target)
    assert status["version"] == 1
    daemon = status["daemon"]
    assert set(daemon) >= {"pid", "version", "uptime_s", "rss_bytes"}
    assert (daemon["state"], daemon["stops_within_s"]) == ("running", None)
    assert daemon["config"] == str(tmp_path / "config.toml")
    assert status["tunnel"] == {"on": True}
    shown = status["servers"]["office"]
    assert shown.pop("latency_ms") > 0
    assert shown == {
        "address": f"127.0.0.1:{server.port}",
        "state": "up",
        "udp": "associate",
        "problem": None,
    }


def test_the_status_of_what_listens_has_them_too(
    run: Run, server: FakeServer, tcp_target: Endpoint, udp_target: Endpoint
) -> None:
    """Forwards and the resolver, each with what went through it."""
    ports = free_port(), free_port(), free_port()
    status = status_in_use(run, server, ports, tcp_target, udp_target)
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
