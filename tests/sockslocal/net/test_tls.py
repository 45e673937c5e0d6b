import os
import random
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.certificates import NAME, Authority, Certificate
from fakes.sockets import closing, fill, read_available, reset, tcp_pair
from fakes.tls_peer import TlsPeer, server_context
from sockslocal.config.model import TlsConfig
from sockslocal.net import tls
from sockslocal.net.tls import CHUNK, AuthoritiesError, Tls, TlsSocket, say_end

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
PATTERN = random.Random(1).randbytes(1 << 20)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who vouches for the certificates of this module."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Certificate:
    """For NAME and 127.0.0.1."""
    return authority.issue()


@pytest.fixture(params=VERSIONS, ids=lambda version: version.name)
def context(request: pytest.FixtureRequest, certificate: Certificate) -> ssl.SSLContext:
    """The server's, with each version in turn."""
    made = server_context(certificate)
    made.maximum_version = request.param
    return made


@pytest.fixture
def ours(authority: Authority) -> Tls:
    """What a client that trusts the authority has."""
    return Tls(TlsConfig(NAME, authority.ca))


class Pair:
    """The two ends of a connection, the server's in the test's hands."""

    def __init__(self, ours: Tls, context: ssl.SSLContext) -> None:
        raw, server = tcp_pair()
        self.raw = raw
        self.peer = TlsPeer(server, context)
        self.client = ours.wrap(raw)

    def handshake(self) -> None:
        """Both come through it; raises what the client's comes to."""
        for _ in range(4):
            try:
                self.client.handshake()
            except BlockingIOError:
                self.peer.handshake()
            else:
                self.peer.handshake()
                return
        raise AssertionError("the handshake does not end")


@pytest.fixture
def pair(ours: Tls, context: ssl.SSLContext) -> Iterator[Pair]:
    """After the handshake."""
    made = Pair(ours, context)
    with closing(made.peer.sock), made.raw:
        made.handshake()
        yield made
        made.client.close()


def read_all(client: TlsSocket) -> bytes:
    """What there is to read before the end, or before there is nothing."""
    found = b""
    try:
        while data := client.recv(CHUNK):
            found += data
    except BlockingIOError:
        pass
    return found


def test_octets_pass_both_ways(pair: Pair) -> None:
    """What one end sends the other reads, and nothing of it passes in the clear."""
    assert pair.client.send(b"question") == 8
    assert pair.peer.received() == b"question"
    pair.peer.send(b"answer")
    assert b"answer" not in pair.client.recv(1000, socket.MSG_PEEK)
    assert pair.client.recv(1000) == b"answer"


def test_it_is_the_socket_that_it_was(pair: Pair) -> None:
    """The same descriptor, which does not block; the old object has none."""
    assert pair.raw.fileno() == -1
    assert pair.client.fileno() >= 0
    assert not pair.client.getblocking()
    assert pair.client.family == socket.AF_INET


def test_nothing_to_read(pair: Pair) -> None:
    """Is told as a socket tells it."""
    with pytest.raises(BlockingIOError):
        pair.client.recv(1000)


def test_a_read_takes_what_there_is(pair: Pair) -> None:
    """Of several records as much as was asked for, and the rest later."""
    pair.peer.send(b"abc", b"def", b"ghi")
    assert pair.client.recv(5) == b"abcde"
    assert pair.client.recv(1000) == b"fghi"


def test_the_end_behind_octets(pair: Pair) -> None:
    """Is told after them, again and again, and the other direction lives."""
    pair.peer.end(b"last")
    assert pair.client.recv(1000) == b"last"
    assert pair.client.recv(1000) == b""
    assert pair.client.recv(1000) == b""
    pair.client.send(b"more")
    assert pair.peer.received() == b"more"


def test_a_cut_is_no_end(pair: Pair) -> None:
    """Whoever cuts the connection cannot make it look as if the server had ended it."""
    pair.peer.send(b"last")
    pair.peer.sock.shutdown(socket.SHUT_WR)
    assert pair.client.recv(1000) == b"last"
    for _ in range(2):
        with pytest.raises(ssl.SSLEOFError):
            pair.client.recv(1000)


def test_a_reset(pair: Pair) -> None:
    """Is an error after what came before it."""
    pair.peer.send(b"last")
    assert pair.client.recv(4) == b"last"
    reset(pair.peer.sock)
    with pytest.raises(ConnectionResetError):
        pair.client.recv(1000)


def test_changed_octets(pair: Pair) -> None:
    """Are noticed."""
    pair.peer.sock.send(b"\x17\x03\x03\x00\x20" + bytes(32))
    with pytest.raises(ssl.SSLError):
        pair.client.recv(1000)


def test_what_does_not_fit_is_sent_again(pair: Pair) -> None:
    """Until the system has room the same octets are offered; they arrive once, in order."""
    pair.client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 20_000)
    sent = received = b""
    while len(sent) < len(PATTERN):
        offered = PATTERN[len(sent) : len(sent) + CHUNK]
        try:
            taken = pair.client.send(offered)
        except BlockingIOError:
            received += pair.peer.received()
        else:
            assert taken == len(offered)
            sent += offered
    while len(received) < len(PATTERN):
        received += pair.peer.received()
    assert received == PATTERN


def test_our_end(pair: Pair) -> None:
    """The server reads it after all that was sent, and what it then says arrives."""
    pair.client.send(b"question")
    pair.client.end()
    pair.client.end()
    pair.client.shutdown(socket.SHUT_WR)
    assert pair.peer.received() == b"question"
    with pytest.raises(ssl.SSLZeroReturnError):
        pair.peer.received()
    pair.peer.send(b"the tail")
    assert pair.client.recv(1000) == b"the tail"
    pair.peer.end()
    assert pair.client.recv(1000) == b""


def test_our_end_while_octets_come(pair: Pair) -> None:
    """Those that were received already, and those that were not, are all there to be read."""
    data = PATTERN[:100_000]
    pair.peer.send(data)
    first = pair.client.recv(10)
    pair.client.end()
    assert first + read_all(pair.client) == data
    pair.peer.end(b"the tail")
    assert pair.client.recv(2) == b"th"
    assert read_all(pair.client) == b"e tail"


def test_our_end_after_the_servers(pair: Pair) -> None:
    """Each ends its own direction."""
    pair.peer.end()
    assert pair.client.recv(1000) == b""
    pair.client.end()
    with pytest.raises(ssl.SSLZeroReturnError):
        pair.peer.received()


def test_our_end_where_there_is_no_room(pair: Pair) -> None:
    """It has to be tried again, and is told once."""
    pair.client.send(b"question")
    assert pair.peer.received() == b"question"
    pair.client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 5_000)
    with socket.socket(fileno=os.dup(pair.client.fileno())) as below:
        below.setblocking(False)
        fill(below)
    with pytest.raises(BlockingIOError):
        pair.client.end()
    with pytest.raises(BlockingIOError):
        pair.client.end()
    while read_available(pair.peer.sock):
        pass
    pair.client.end()
    assert len(pair.peer.sock.recv(100)) < 40


def test_saying_the_end_before_closing(pair: Pair) -> None:
    """Where there is TLS the server reads an end and no cut; whatever hinders that hinders no closing."""
    say_end(pair.peer.sock)
    say_end(pair.client)
    with pytest.raises(ssl.SSLZeroReturnError):
        pair.peer.received()
    pair.client.shutdown(socket.SHUT_WR)
    pair.client._ended = False
    say_end(pair.client)


def test_a_server_that_wants_answer_after_answer(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """What TLS has to say meanwhile is bounded."""
    monkeypatch.setattr(tls, "MAX_ANSWERS", 10)
    pair.client._tls.write(b"in place of answers")
    with pytest.raises(ConnectionAbortedError):
        pair.client.recv(1000)


def test_the_server_is_told_what_is_wrong(context: ssl.SSLContext, authority: Authority) -> None:
    """A handshake that fails on our side ends with an alert."""
    pair = Pair(Tls(TlsConfig("other.test", authority.ca)), context)
    with closing(pair.peer.sock), pair.raw:
        with pytest.raises(ssl.SSLCertVerificationError):
            pair.handshake()
        with pytest.raises(ssl.SSLError, match="ALERT"):
            pair.peer.handshake()
        pair.client.close()


def test_sessions_are_resumed(ours: Tls, context: ssl.SSLContext) -> None:
    """The next connection begins with the session of the last one that was remembered."""
    reused = []
    for _ in range(2):
        pair = Pair(ours, context)
        with closing(pair.peer.sock), pair.raw:
            pair.handshake()
            reused.append(pair.peer.tls.session_reused)
            pair.peer.send(b"answer")
            assert pair.client.recv(1000) == b"answer"
            ours.remember(pair.client)
            pair.client.close()
    assert reused == [False, True]


def test_sessions_of_no_use(ours: Tls, pair: Pair, context: ssl.SSLContext) -> None:
    """None is resumed that rests on certificates which have been read anew since."""
    pair.peer.send(b"answer")
    assert pair.client.recv(1000) == b"answer"
    ours.forget()
    _ = ours.context
    ours.remember(pair.client)
    ours.remember(pair.peer.sock)
    later = Pair(ours, context)
    with closing(later.peer.sock), later.raw:
        later.handshake()
        assert not later.peer.tls.session_reused
        later.client.close()


def test_versions_that_are_safe(ours: Tls) -> None:
    """Nothing before TLS 1.2, no renegotiation; certificate and name are checked."""
    context = ours.context
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert ours.context is context


def test_those_that_the_system_trusts(monkeypatch: pytest.MonkeyPatch, authority: Authority) -> None:
    """Their certificates are read once for all servers, and not for each that fails."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))
    monkeypatch.setenv("SSL_CERT_DIR", "/nowhere")
    tls._system_context.cache_clear()
    try:
        one, other = (Tls(TlsConfig(name)) for name in "ab")
        assert one.context is other.context
        assert one.context.cert_store_stats()["x509_ca"] == 1
        before = one.context
        one.forget()
        assert one.context is before
    finally:
        tls._system_context.cache_clear()


def test_a_file_that_cannot_be_used(tmp_path: Path, authority: Authority) -> None:
    """Is an error that says why, and a file that is put right is read again."""
    path = tmp_path / "ca.pem"
    made = Tls(TlsConfig(NAME, path))
    with pytest.raises(AuthoritiesError, match="No such file"):
        _ = made.context
    path.write_text("nothing")
    with pytest.raises(AuthoritiesError, match="no certificate"):
        _ = made.context
    path.write_bytes(authority.ca.read_bytes())
    before = made.context
    made.forget()
    assert made.context is not before


def test_the_servers_own_certificate_will_do(certificate: Certificate, context: ssl.SSLContext) -> None:
    """A user may trust just that, whoever issued it."""
    pair = Pair(Tls(TlsConfig(NAME, certificate.chain)), context)
    with closing(pair.peer.sock), pair.raw:
        pair.handshake()
        pair.client.close()
