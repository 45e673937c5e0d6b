"""The network behind the demo's server."""

import pytest

from sockslocal.address import Endpoint
from sockslocal.demo.network import Network, Place, Unreachable
from sockslocal.socks5.messages import Reply

ACTUAL = Endpoint("127.0.0.1", 40_000)


@pytest.fixture
def network() -> Network:
    """One host with one service over TCP."""
    made = Network({"www.demo.test": "192.0.2.80"})
    made.add("tcp", "www.demo.test", 80, ACTUAL)
    return made


@pytest.mark.parametrize("host", ["www.demo.test", "192.0.2.80"])
def test_a_service_is_found_by_name_and_by_address(network: Network, host: str) -> None:
    """Both lead to the same socket, known to the client by its far address."""
    assert network.locate("tcp", Endpoint(host, 80)) == Place(Endpoint("192.0.2.80", 80), ACTUAL)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1"])
def test_loopback_leads_to_itself(network: Network, host: str) -> None:
    """A literal address of this machine is no name of the network's."""
    target = Endpoint(host, 22)
    assert network.locate("tcp", target) == Place(target, target)


@pytest.mark.parametrize(
    ("transport", "target", "reply"),
    [
        ("tcp", Endpoint("ftp.demo.test", 80), Reply.HOST_UNREACHABLE),
        ("tcp", Endpoint("localhost", 80), Reply.HOST_UNREACHABLE),
        ("tcp", Endpoint("192.0.2.81", 80), Reply.HOST_UNREACHABLE),
        ("tcp", Endpoint("", 80), Reply.HOST_UNREACHABLE),
        ("tcp", Endpoint("www.demo.test", 81), Reply.CONNECTION_REFUSED),
        ("udp", Endpoint("www.demo.test", 80), Reply.CONNECTION_REFUSED),
    ],
    ids=str,
)
def test_everything_else_is_unreachable(
    network: Network, transport: str, target: Endpoint, reply: Reply
) -> None:
    """There is no way out of the network, and no service but those that were added."""
    with pytest.raises(Unreachable) as caught:
        network.locate("udp" if transport == "udp" else "tcp", target)
    assert caught.value.reply is reply
