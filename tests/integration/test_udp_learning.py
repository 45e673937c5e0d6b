"""What is known of a server's UDP, by an examination or by use, is gone by; also by the next daemon."""

import json
from typing import Any

import pytest

from fakes.socks5_server import Act, Script, Stage, StreamFormat, UdpFault, UdpScript
from fakes.socks5_wire import UDP_ASSOCIATE
from fakes.waiting import wait_until
from integration.daemon import SERVER
from integration.udp_tunnel import UdpTunnel, udp_tunnel


def examined(tunnel: UdpTunnel) -> dict[str, Any]:
    """The profile that `sockslocal server test` prints."""
    done = tunnel.daemon.cli("server", "test", SERVER, "--json")
    assert done.returncode == 0, done.stderr
    profile = json.loads(done.stdout)["profile"]
    assert isinstance(profile, dict)
    return profile


NEEDS_AN_EXAMINATION = {
    "another port": (Script(udp=UdpScript(fault=UdpFault.OTHER_PORT)), {"foreign_source": "port"}),
    "another address": (Script(udp=UdpScript(fault=UdpFault.OTHER_ADDRESS)), {"foreign_source": "address"}),
    "closes at once": (
        Script(at=Stage.RELAY, act=Act.CLOSE, udp=UdpScript(outlives=True)),
        {"closes_control": True},
    ),
}


@pytest.mark.parametrize(("script", "facts"), NEEDS_AN_EXAMINATION.values(), ids=list(NEEDS_AN_EXAMINATION))
def test_odd_servers_are_used_once_they_are_known(script: Script, facts: dict[str, Any]) -> None:
    """Datagrams pass after an examination, and after a restart of the daemon too."""
    with udp_tunnel(script) as tunnel, tunnel.programs([0, 1, 2, 0]) as programs:
        profile = examined(tunnel)
        assert {fact: profile[fact] for fact in facts} == facts
        assert profile["rung"] == "associate"
        programs.exchange(rounds=3)
        tunnel.daemon.process.stop()
        tunnel.daemon.start()
        programs.exchange(rounds=3)
        assert tunnel.shown().udp == "associate"


def test_large_datagrams_are_not_cut() -> None:
    """What the server would cut is dropped and counted, once it is known where it cuts."""
    with udp_tunnel(Script(udp=UdpScript(cut_above=1000))) as tunnel:
        assert examined(tunnel)["largest_datagram"] <= 1000
        with tunnel.programs(size=1001) as large, tunnel.programs(size=900) as small:
            small.exchange(rounds=2)
            large.talk()
            large.talk()
            tunnel.daemon.wait_for(lambda status: status.forwards["echo0"].dropped == 2)
            assert not large.settled(urging=False)
            assert large.misdelivered == []
            small.exchange(rounds=2)


def test_the_next_daemon_begins_with_what_worked() -> None:
    """It does not try what did not; unless what worked does not any more."""
    script = Script(formats=frozenset({StreamFormat.HEV}))
    with (
        udp_tunnel(script, cases={UDP_ASSOCIATE: Script(reply=7)}) as tunnel,
        tunnel.programs() as programs,
    ):
        programs.exchange()
        asked = len(tunnel.server.sessions)
        tunnel.daemon.process.stop()
        tunnel.daemon.start()
        programs.exchange()
        commands = {session.command for session in tunnel.server.sessions[asked:]}
        assert commands <= {0, 1, 5}, "1 is what looks how much of a handshake the server bears"
        tunnel.daemon.process.stop()
        tunnel.server.cases.clear()
        tunnel.server.script = Script()
        tunnel.daemon.start()
        programs.exchange()
        wait_until(lambda: tunnel.shown().udp == "associate", seconds=5, what="the other rung")


def test_an_examination_while_programs_talk() -> None:
    """Their flows lose nothing by it."""
    with udp_tunnel() as tunnel, tunnel.programs() as programs:
        programs.exchange()
        profile = examined(tunnel)
        programs.exchange(rounds=3)
        programs.lose_nothing()
        assert (profile["rung"], profile["relay_rule"]) == ("associate", "given")


def test_a_probe_that_nobody_answers() -> None:
    """Many servers reach no other DNS server than their own: what programs hear is proof enough."""
    with udp_tunnel(udp_probe="127.0.0.1:9") as tunnel, tunnel.programs() as programs:
        programs.exchange(rounds=3)
        assert tunnel.shown().udp == "associate"
        tunnel.server.kill_relays()
        programs.exchange(seconds=3)


def test_without_a_probe() -> None:
    """The same where none is to be sent."""
    with udp_tunnel(udp_probe="off") as tunnel, tunnel.programs() as programs:
        programs.exchange(rounds=3)
        assert tunnel.shown().udp == "associate"
        tunnel.server.kill_relays()
        programs.exchange(seconds=3)


@pytest.mark.parametrize("options", [{}, {"udp_probe": "off"}], ids=["probed", "not probed"])
def test_remotes_that_say_nothing(options: Any) -> None:
    """Logs, for one: each datagram arrives once, by one association, however long nothing comes back."""
    with udp_tunnel(leads=[0], **options) as tunnel, tunnel.programs() as programs:
        tunnel.echoes.mute = True
        for count in range(1, 9):
            programs.talk()
            wait_until(lambda count=count: tunnel.echoes.received == count, seconds=3, what="it arrives")  # type: ignore[misc]
            programs.sockets[0].settimeout(0.2)
            with pytest.raises(TimeoutError):
                programs.sockets[0].recv(100)
            programs.sockets[0].setblocking(False)
        assert tunnel.server.counts.associations.total == 1
        assert tunnel.problem() is None
