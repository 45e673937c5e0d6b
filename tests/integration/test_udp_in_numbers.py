"""Many local programs by few associations: every echo is its own, and none is misdelivered."""

import pytest

from fakes.socks5_server import Script, StreamFormat
from fakes.socks5_wire import UDP_ASSOCIATE, address_octets
from fakes.udp_programs import spray
from fakes.waiting import wait_until
from integration.servers.process import LOOPBACK
from integration.udp_deaths import DEATHS
from integration.udp_tunnel import udp_tunnel

MANY = 200


def test_many_remotes_share_an_association() -> None:
    """A program for each of them."""
    with udp_tunnel(leads=range(MANY)) as tunnel, tunnel.programs() as programs:
        programs.exchange(rounds=3, seconds=30)
        assert tunnel.server.counts.associations.peak <= 2
        assert tunnel.udp().flows == MANY
        assert tunnel.echoes.strays == []


def test_many_flows_come_back_without_a_storm() -> None:
    """However their association died: one new one serves them all."""
    with udp_tunnel(leads=range(MANY)) as tunnel, tunnel.programs() as programs:
        programs.exchange(seconds=30)
        for die in DEATHS.values():
            before = tunnel.server.counts.connections.total
            die(tunnel.server)
            programs.exchange(seconds=5)
            assert tunnel.server.counts.connections.total - before <= 3


def test_many_associations_come_back() -> None:
    """Those of fifty programs of one remote, each for itself."""
    with udp_tunnel(leads=[0]) as tunnel, tunnel.programs([0] * 50) as programs:
        programs.exchange(seconds=30)
        for die in DEATHS.values():
            before = tunnel.server.counts.connections.total
            die(tunnel.server)
            programs.exchange(seconds=5)
            assert tunnel.server.counts.connections.total - before <= 60


def test_what_comes_too_fast_is_counted() -> None:
    """A hundred datagrams while an association is made: each arrives, or is counted as dropped."""
    with udp_tunnel(leads=[0], limits={"waiting": 16}) as tunnel, tunnel.programs() as programs:
        for number in range(100):
            programs.sockets[0].send(b"burst %d" % number)

        def all_accounted_for() -> bool:
            return tunnel.echoes.received + tunnel.daemon.status().forwards["echo0"].dropped == 100

        wait_until(all_accounted_for, seconds=5, what="the sum is right")


@pytest.mark.parametrize("rung", ["uot-v2", "gost"])
def test_many_remotes_share_a_stream(rung: str) -> None:
    """The same over TCP."""
    formats = {"uot-v2": StreamFormat.UOT_V2, "gost": StreamFormat.GOST}
    script = Script(formats=frozenset({formats[rung]}))
    with (
        udp_tunnel(script, leads=range(MANY), cases={UDP_ASSOCIATE: Script(reply=7)}) as tunnel,
        tunnel.programs() as programs,
    ):
        programs.exchange(rounds=3, seconds=30)
        assert tunnel.server.counts.streams.now <= 2


def test_programs_of_one_remote_do_not_share() -> None:
    """Its answers could not be told apart."""
    with udp_tunnel(leads=range(1)) as tunnel, tunnel.programs([0] * 50) as programs:
        programs.exchange(rounds=3, seconds=30)
        assert tunnel.server.counts.associations.now >= 50


def test_sharing_may_be_switched_off() -> None:
    """For programs that hear from remotes they never wrote to: one association for each local socket."""
    with (
        udp_tunnel(leads=range(10), forward_options={"share": "never"}) as tunnel,
        tunnel.programs() as programs,
    ):
        programs.exchange(rounds=2)
        assert tunnel.server.counts.associations.now >= 10


def test_a_spray_of_ports_evicts_nobody() -> None:
    """A program that talks loses nothing, and what there is of associations stays within its bound."""
    with udp_tunnel(leads=range(2)) as tunnel, tunnel.programs([1, 1, 1]) as programs:
        programs.exchange()
        for start in range(10_000, 12_000, 100):
            spray((LOOPBACK, tunnel.ports[0]), range(start, start + 100))
            programs.exchange()
        programs.lose_nothing()
        assert tunnel.server.counts.associations.peak <= 70


def test_a_server_that_grants_few_associations() -> None:
    """Those that there are go on; who has none is told why; and has one when another program is done."""
    with udp_tunnel(leads=[0], forward_options={"idle": "2s", "share": "never"}) as tunnel:
        tunnel.server.most_associations = 3
        with tunnel.programs([0, 0, 0]) as early, tunnel.programs([0, 0, 0]) as late:
            early.exchange(rounds=2)
            late.talk()
            tunnel.daemon.wait_for(lambda status: status.forwards["echo0"].problem is not None)
            early.exchange(rounds=3)
            early.lose_nothing()
            assert tunnel.shown().udp == "associate"
            late.exchange(seconds=20)


def test_remotes_that_were_never_asked() -> None:
    """Where nothing is shared, a program hears them too; else they are nobody's."""
    for share, heard in (("never", True), ("auto", False)):
        with (
            udp_tunnel(leads=range(2), forward_options={"share": share}) as tunnel,
            tunnel.programs() as programs,
        ):
            programs.exchange()
            header = b"\0\0\0" + address_octets("127.0.0.9", 99)
            relay = next(session for session in tunnel.server.sessions if session.relay)
            tunnel.server.inject(relay, header + b"unasked", from_elsewhere=False)
            programs.talk()
            wait_until(programs.settled, seconds=5, what="what came before is heard")
            assert [payload for _, payload in programs.misdelivered] == [b"unasked"] * heard
