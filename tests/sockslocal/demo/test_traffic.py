"""The demo's steps, sent straight to the targets, and to targets that get it wrong."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from fakes.socks5_server import FakeServer
from sockslocal.address import Endpoint
from sockslocal.demo import targets, traffic
from sockslocal.demo.network import Transport
from sockslocal.demo.stage import Stage
from sockslocal.demo.traffic import StepFailed


def actual(stage: Stage, transport: Transport, name: str, port: int) -> Endpoint:
    """Where a target really listens."""
    return stage.server.network.locate(transport, Endpoint(name, port)).actual


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[Endpoint]:
    """A TCP server that reads a little, gives one connection the same `answer`, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield Endpoint(*listener.getsockname())
        thread.join(10)


@contextlib.contextmanager
def silence() -> Iterator[Endpoint]:
    """A UDP socket that never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind(("127.0.0.1", 0))
        yield Endpoint(*opened.getsockname())


@pytest.mark.parametrize(
    ("walk", "transport", "name", "port", "carried"),
    [
        (traffic.echo_stream, "tcp", targets.ECHO, targets.ECHO_PORT, "64 KiB echoed"),
        (traffic.fetch_page, "tcp", targets.WEB, targets.WEB_PORT, "200, 74 bytes"),
        (traffic.echo_datagram, "udp", targets.ECHO, targets.ECHO_PORT, "1 KiB echoed"),
        (traffic.ask_address, "udp", targets.NAMES, targets.DNS_PORT, "192.0.2.80"),
        (traffic.ask_long_text, "tcp", targets.NAMES, targets.DNS_PORT, "2,787 B of TXT"),
    ],
)
def test_a_step_says_what_it_carried(  # noqa: PLR0917  one column each
    stage: Stage, walk: Callable[[Endpoint], str], transport: Transport, name: str, port: int, carried: str
) -> None:
    """Each gets the right answer from its target."""
    assert traffic.run(lambda: walk(actual(stage, transport, name, port))) == carried


def test_every_path_is_walked(stage: Stage) -> None:
    """A wrong password is turned away by the server."""
    assert traffic.try_wrong_password(stage.address, "ana") == "rejected"


@pytest.mark.parametrize(
    ("walk", "answer", "reason"),
    [
        (traffic.echo_stream, b"no echo", "7 other bytes than the 65,536 sent came back"),
        (traffic.fetch_page, b"HTTP/1.0 404 Not Found\r\n\r\nno", "another page came, with status 404"),
        (traffic.fetch_page, b"no HTTP\r\n", "BadStatusLine: no HTTP"),
        (traffic.ask_long_text, b"", "the connection was closed without an answer"),
        (traffic.ask_long_text, b"\x00\x02hi", "ShortHeader"),
    ],
)
def test_a_wrong_answer_fails_the_step(walk: Callable[[Endpoint], str], answer: bytes, reason: str) -> None:
    """The reason is said in one line."""
    with answering(answer) as at, pytest.raises(StepFailed, match=reason):
        traffic.run(lambda: walk(at))


@pytest.mark.parametrize("walk", [traffic.echo_datagram, traffic.ask_address])
def test_no_answer_fails_the_step(monkeypatch: pytest.MonkeyPatch, walk: Callable[[Endpoint], str]) -> None:
    """A step does not wait for ever."""
    monkeypatch.setattr(traffic, "SECONDS", 0.1)
    with silence() as at, pytest.raises(StepFailed, match=r"no answer within 0\.1 s"):
        traffic.run(lambda: walk(at))


def test_a_closed_port_fails_the_step(stage: Stage) -> None:
    """The system's own words are the reason."""
    with pytest.raises(StepFailed, match="Connection refused"):
        traffic.run(lambda: traffic.echo_stream(Endpoint("127.0.0.1", 1)))


def test_an_empty_answer_fails_the_step(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A denial is no address."""
    monkeypatch.setattr(traffic, "WEB", "nobody.demo.test")
    at = actual(stage, "udp", targets.NAMES, targets.DNS_PORT)
    with pytest.raises(StepFailed, match="the answer is NXDOMAIN and empty"):
        traffic.run(lambda: traffic.ask_address(at))


def test_a_server_that_accepts_any_password_fails_the_step() -> None:
    """The demo would not claim a login that means nothing."""
    with FakeServer(credentials=(b"ana", b"not the password")) as server:
        at = Endpoint(*server.address)
        with pytest.raises(StepFailed, match="the server accepted it"):
            traffic.run(lambda: traffic.try_wrong_password(at, "ana"))


def test_a_server_without_login_fails_the_step() -> None:
    """One that does not even ask for a password is said to be so."""
    with Stage(None) as stage, pytest.raises(StepFailed, match="it accepts no method that was offered"):
        traffic.run(lambda: traffic.try_wrong_password(stage.address, "ana"))
