import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from fakes.flows import FakeReceiver
from fakes.socks5_wire import Address
from fakes.udp_echoes import udp_echoes
from fakes.udp_programs import SPRAYED_FROM, Flows, Programs, exchanged, spray
from fakes.waiting import wait_until
from sockslocal.address import Endpoint
from sockslocal.errors import ServerError


@contextmanager
def bound() -> Iterator[socket.socket]:
    """A socket on loopback, to play a forward or a remote with."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.bind(("127.0.0.1", 0))
        yield sock


def test_each_hears_its_own() -> None:
    """Straight to their remotes, several to one and one to several, in payloads of the size wanted."""
    with udp_echoes(300) as echoes:
        assert len(set(echoes.addresses)) == 300
        assert len({host for host, _ in echoes.addresses}) == 300
        assert len({port for _, port in echoes.addresses}) == 1
        remotes = [*echoes.addresses, echoes.addresses[0]]
        with Programs(remotes, remotes, size=500) as programs:
            programs.exchange(rounds=3)
            programs.lose_nothing()
            assert programs.own >= 903
            assert echoes.strays == []
            assert echoes.received == programs.attempts


def test_remotes_may_be_mute() -> None:
    """They hear, and say nothing."""
    with udp_echoes(1) as echoes, Programs(echoes.addresses, echoes.addresses) as programs:
        echoes.mute = True
        programs.talk()
        wait_until(lambda: echoes.received == 1, seconds=5, what="it is heard")
        assert not programs.settled(urging=False)
        echoes.mute = False
        programs.exchange()


def test_what_goes_to_another_remote_is_seen_there() -> None:
    """The programs name one remote, and reach the other."""
    with udp_echoes(2) as echoes, Programs(echoes.addresses[:1], echoes.addresses[1:]) as programs:
        programs.exchange()
        ((address, payload),) = echoes.strays
        assert address == echoes.addresses[0]
        assert payload.startswith(b"flow 0 to 127.1.0.2:")


def test_what_comes_to_another_program_is_seen_there() -> None:
    """And what comes twice is counted, and does not pass for an answer."""
    with bound() as forward, Programs([forward.getsockname()] * 2, [("192.0.2.1", 7)] * 2) as programs:
        programs.talk()
        (first, one), (second, two) = forward.recvfrom(100), forward.recvfrom(100)
        forward.sendto(second, one)
        assert not programs.settled(urging=False)
        assert programs.misdelivered == [(0, second)]
        with pytest.raises(AssertionError, match="misdelivered"):
            programs.check()
        for _ in range(2):
            forward.sendto(first, one)
        assert not programs.settled(urging=False)
        assert (programs.own, programs.repeated, programs.waiting) == (1, 1, [1])
        forward.sendto(second, two)
        assert programs.settled(urging=False)


def test_who_waits_asks_again() -> None:
    """With a payload that is new, so that a late answer is not taken for one to it."""
    with bound() as forward, Programs([forward.getsockname()], [("192.0.2.1", 7)]) as programs:
        lost = []

        def answer_the_second() -> None:
            lost.append(forward.recv(100))
            forward.sendto(*forward.recvfrom(100))

        thread = threading.Thread(target=answer_the_second)
        thread.start()
        programs.exchange()
        thread.join()
        assert (programs.attempts, programs.own) == (2, 1)
        with pytest.raises(AssertionError, match="everything was answered"):
            programs.lose_nothing(seconds=0)


def test_programs_that_are_refused_go_on() -> None:
    """It is counted; they are told by their system, and ask again."""
    with bound() as sock:
        nobody: Address = sock.getsockname()
    with Programs([nobody], [("192.0.2.1", 7)]) as programs:
        programs.talk()
        assert not programs.settled()
        programs.talk()
        assert programs.refused >= 1


class _Wire:
    """Flows that answer of themselves; the third datagram loses its flow."""

    def __init__(self) -> None:
        self.opened: list[Endpoint] = []
        self.sent = 0
        self.closed = 0

    def open(self, remote: Endpoint, receiver: FakeReceiver, idle_s: float) -> Any:
        self.opened.append(remote)
        wire = self

        class Flow:
            def touch(self) -> None:
                pass

            def close(self) -> None:
                wire.closed += 1

            def send_payload(self, payload: bytes) -> bool:
                wire.sent += 1
                if wire.sent == 3:
                    receiver.lost(cast("ServerError", None))
                else:
                    receiver.payloads.append(payload)
                return True

        return Flow()


def test_flows_are_opened_when_needed() -> None:
    """One that was lost is opened again, as a forward does for the next datagram."""
    wire = _Wire()
    flows = Flows(wire.open, [("192.0.2.1", 7), ("192.0.2.2", 7)])
    asyncio.run(exchanged(flows, rounds=2))
    flows.collect()
    assert wire.opened == [("192.0.2.1", 7), ("192.0.2.2", 7), ("192.0.2.1", 7)]
    assert (flows.own, flows.losses) == (4, 1)
    flows.close()
    assert wire.closed == 2


def test_a_spray() -> None:
    """One datagram from each port."""
    with bound() as forward:
        spray(forward.getsockname(), range(40_000, 40_005))
        found = [forward.recvfrom(100) for _ in range(5)]
    assert found == [(b"spray", (SPRAYED_FROM, port)) for port in range(40_000, 40_005)]
