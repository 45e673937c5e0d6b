import asyncio
from pathlib import Path

import pytest

from fakes.engine import turns, until
from fakes.probe_target import probe_target
from fakes.socks5_server import Act, FakeServer, Script, Stage
from fakes.supervised import Made, Run, office
from sockslocal.errors import ControlError
from sockslocal.net.profiles import ProfileStore
from sockslocal.supervisor import Supervisor, Switches
from sockslocal.supervisor import turns as module


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
    monkeypatch.setattr(module, "TURN_S", 0.01)

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
