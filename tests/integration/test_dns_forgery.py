"""As many forged answers as there are ids, to a query by UDP: none of them is believed, kept or served.

Whoever does not see the query guesses. By design ten answers that match no query are all that a flow takes:
then its association is given up, with whatever else comes on it, and the question goes on by TCP, where
nobody can guess. The flood goes through the server's own relay, while the answer by TCP is held back.

That each of them is judged rightly where a flow takes them all is shown in the resolver's own tests.
"""

import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

import pytest

from fakes.forged_dns import FORGED, NAME, TRUE, answer, with_its_id, with_wrong_ids
from fakes.socks5_server import FakeServer, Session
from fakes.socks5_wire import address_octets
from fakes.waiting import wait_until
from integration.conftest import skip_without
from integration.daemon import Daemon, dns
from integration.local import Answer, dig
from integration.servers.process import LOOPBACK, free_port
from sockslocal.control.client import Client
from sockslocal.resolver.ask_udp import MAX_MISMATCHES


class NameServer:
    """A name server that answers when the test says so; by TCP only where it is to."""

    def __init__(self, *, tcp: bool) -> None:
        self.port = free_port()
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.bind((LOOPBACK, self.port))
        self._datagrams.settimeout(10)
        self._streams = socket.create_server((LOOPBACK, self.port)) if tcp else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._datagrams.close()
        if self._streams is not None:
            self._streams.close()

    def asked(self) -> tuple[bytes, tuple[str, int]]:
        """The next query by UDP, and where it came from."""
        message, source = self._datagrams.recvfrom(4096)
        return message, source

    def answer(self) -> tuple[str, int]:
        """The truth, to the next query by UDP; gives where that came from."""
        message, source = self.asked()
        self._datagrams.sendto(answer(message, TRUE), source)
        return source

    def answer_by_tcp(self) -> None:
        """The truth, to the next query by TCP."""
        assert self._streams is not None
        self._streams.settimeout(10)
        connection, _ = self._streams.accept()
        with connection:
            connection.settimeout(10)
            message = answer(connection.recv(4096)[2:], TRUE)
            connection.sendall(len(message).to_bytes(2, "big") + message)


class Attack:
    """A resolver before a fake server, whose relay the forger uses."""

    def __init__(self, daemon: Daemon, server: FakeServer, upstream: NameServer) -> None:
        skip_without("dig")
        self.port = free_port()
        self._daemon = daemon
        self._server = server
        self._header = b"\0\0\0" + address_octets(LOOPBACK, upstream.port)
        daemon.configure(
            daemon.server(f"{LOOPBACK}:{server.port}"), dns(self.port, f"udp://{LOOPBACK}:{upstream.port}")
        )
        daemon.start()

    def mismatched(self) -> int:
        """Messages that answered nothing, as `dns status` has it."""
        (upstream,) = Client(self._daemon.paths).call("dns.status")["upstreams"]
        count: int = upstream["mismatched"]
        return count

    def session(self) -> Session:
        """That of the association."""
        (session,) = (session for session in self._server.sessions if session.relay and not session.finished)
        return session

    def forge(self, messages: Iterator[bytes] | list[bytes]) -> None:
        """From the relay, with a header that says they are the upstream's."""
        self._server.inject_all(self.session(), (self._header + message for message in messages))

    def forge_from_elsewhere(self, message: bytes, upstream: int) -> None:
        """The very answer, but from another port of the upstream, another host, and past the relay."""
        session = self.session()
        others = (address_octets(LOOPBACK, upstream + 1), address_octets("127.0.0.9", upstream))
        self._server.inject_all(session, (b"\0\0\0" + other + message for other in others))
        self._server.inject(session, self._header + message, from_elsewhere=True)


@pytest.fixture
def asking() -> Iterator[ThreadPoolExecutor]:
    """Somebody who asks while the test goes on."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.mark.serial
def test_a_flood_leads_to_tcp_and_none_of_it_is_kept(daemon: Daemon, asking: ThreadPoolExecutor) -> None:
    """All wrong ids; wrong ports, hosts, questions, letters: only the true answer is served and kept."""
    with FakeServer() as server, NameServer(tcp=True) as upstream:
        attack = Attack(daemon, server, upstream)
        waiting: Future[Answer] = asking.submit(dig, attack.port, NAME)
        asked, _ = upstream.asked()
        attack.forge_from_elsewhere(answer(asked, FORGED), upstream.port)
        attack.forge(with_its_id(asked))
        wait_until(lambda: attack.mismatched() == len(with_its_id(asked)), seconds=5, what="they are heard")
        assert not waiting.done()
        attack.forge(with_wrong_ids(asked))
        upstream.answer_by_tcp()
        assert waiting.result().records == [TRUE]
        assert attack.mismatched() == MAX_MISMATCHES
        assert dig(attack.port, NAME, "A", "+norecurse").records == [TRUE]
        for question in ((NAME, "AAAA"), ("wwx.example", "A")):
            assert dig(attack.port, *question, "+norecurse").code == "REFUSED"


@pytest.mark.serial
def test_without_tcp_the_next_question_has_another_port(daemon: Daemon, asking: ThreadPoolExecutor) -> None:
    """The one that was attacked fails; it is not asked again where the forger is."""
    with FakeServer() as server, NameServer(tcp=False) as upstream:
        attack = Attack(daemon, server, upstream)
        waiting: Future[Answer] = asking.submit(dig, attack.port, NAME)
        asked, source = upstream.asked()
        attack.forge(with_wrong_ids(asked))
        assert waiting.result().code == "SERVFAIL"

        def answered() -> bool:
            return dig(attack.port, NAME).records == [TRUE]

        again = asking.submit(wait_until, answered, seconds=10, what="the failure is forgotten")
        assert upstream.answer() != source
        again.result()
