"""What the demo sends, as programs would that know nothing of a proxy; each step checks what came back."""

import http.client
import os
import socket
from collections.abc import Callable
from contextlib import closing
from typing import NamedTuple

import dns.exception
import dns.message
import dns.query
import dns.rdatatype

from sockslocal.address import Endpoint
from sockslocal.demo.setting import Setting
from sockslocal.demo.targets import DNS_PORT, ECHO, ECHO_PORT, HOSTS, NAMES, PAGE, WEB, WEB_PORT
from sockslocal.demo.zone import LONG_NAME
from sockslocal.secret import Secret
from sockslocal.socks5.client import ClientHandshake, Credentials
from sockslocal.socks5.errors import AuthenticationRejected, RemoteError
from sockslocal.socks5.messages import Stage

SECONDS = 5.0
"""For each answer."""

_TCP_OCTETS = 64 * 1024
_UDP_OCTETS = 1024


class StepFailed(Exception):  # noqa: N818  it is what happened
    """A step without the right answer; the text says what was wrong with it."""


class Step(NamedTuple):
    """One path: its kind, where it begins and ends, and `walk`, which returns what was carried."""

    kind: str
    start: Endpoint
    end: str
    walk: Callable[[], str]


def steps(setting: Setting) -> tuple[Step, ...]:
    """All paths through the daemon of `setting`."""
    echo, web, udp, dns_ = setting.echo, setting.web, setting.udp, setting.dns
    return (
        Step("TCP", echo, f"{ECHO}:{ECHO_PORT}", lambda: echo_stream(echo)),
        Step("HTTP", web, f"{WEB}:{WEB_PORT}", lambda: fetch_page(web)),
        Step("UDP", udp, f"{ECHO}:{ECHO_PORT}", lambda: echo_datagram(udp)),
        Step("DNS/UDP", dns_, f"{NAMES}:{DNS_PORT}", lambda: ask_address(dns_)),
        Step("DNS/TCP", dns_, f"{NAMES}:{DNS_PORT}", lambda: ask_long_text(dns_)),
    )


def run(step: Callable[[], str]) -> str:
    """What `step` carried. Raises StepFailed for whatever kept it from that."""
    try:
        return step()
    except (TimeoutError, dns.exception.Timeout):
        raise StepFailed(f"no answer within {SECONDS:g} s") from None
    except EOFError:
        raise StepFailed("the connection was closed without an answer") from None
    except (OSError, http.client.HTTPException, dns.exception.DNSException) as error:
        raise StepFailed(f"{type(error).__name__}: {error}") from None


def echo_stream(at: Endpoint) -> str:
    """Random bytes there and back over TCP, ended by a half-close."""
    payload = os.urandom(_TCP_OCTETS)
    with socket.create_connection(at, timeout=SECONDS) as connection:
        connection.sendall(payload)
        connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: connection.recv(_TCP_OCTETS), b""))
    _expect(received == payload, f"{len(received):,} other bytes than the {len(payload):,} sent came back")
    return f"{len(payload) // 1024} KiB echoed"


def fetch_page(at: Endpoint) -> str:
    """The page of the web server behind the proxy."""
    with closing(http.client.HTTPConnection(at.host, at.port, timeout=SECONDS)) as connection:
        connection.request("GET", "/", headers={"Host": WEB})
        response = connection.getresponse()
        body = response.read()
    _expect(body == PAGE.encode(), f"another page came, with status {response.status}")
    return f"{response.status}, {len(body)} bytes"


def echo_datagram(at: Endpoint) -> str:
    """One datagram of random bytes there and back over UDP."""
    payload = os.urandom(_UDP_OCTETS)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(SECONDS)
        sender.connect(at)
        sender.send(payload)
        received = sender.recv(65_535)
    _expect(received == payload, "another datagram came back")
    return f"{len(payload) // 1024} KiB echoed"


def ask_address(at: Endpoint) -> str:
    """The address of the web server, asked over UDP."""
    query = dns.message.make_query(WEB, dns.rdatatype.A)
    address = _answer(dns.query.udp(query, at.host, timeout=SECONDS, port=at.port))
    _expect(address == HOSTS[WEB], f"{WEB} should be {HOSTS[WEB]}, not {address}")
    return address


def ask_long_text(at: Endpoint) -> str:
    """A text too long for UDP, asked over TCP; the daemon has to go the same way."""
    query = dns.message.make_query(LONG_NAME, dns.rdatatype.TXT)
    text = _answer(dns.query.tcp(query, at.host, timeout=SECONDS, port=at.port))
    _expect(len(text) > _UDP_OCTETS, f"the text of {LONG_NAME} should be longer than {len(text)} bytes")
    return f"{len(text):,} B of TXT"


def try_wrong_password(server: Endpoint, username: str) -> str:
    """Log in at the server with a password that is not the right one, and be rejected."""
    handshake = ClientHandshake(Credentials(username, Secret("not the password")), None)
    with socket.create_connection(server, timeout=SECONDS) as connection:
        connection.sendall(handshake.start())
        try:
            while handshake.stage is not Stage.READY:
                data = connection.recv(4096)
                _expect(bool(data), "the server closed the connection instead of answering")
                connection.sendall(handshake.receive(data))
        except AuthenticationRejected:
            return "rejected"
        except RemoteError as error:
            raise StepFailed(error.phrase) from None
    raise StepFailed("the server accepted it")


def _answer(response: dns.message.Message) -> str:
    _expect(bool(response.answer), f"the answer is {dns.rcode.to_text(response.rcode())} and empty")
    return str(response.answer[0][0])


def _expect(condition: bool, otherwise: str) -> None:  # noqa: FBT001  it reads like assert
    if not condition:
        raise StepFailed(otherwise)
