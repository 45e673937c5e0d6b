import socket
from collections.abc import Iterator

import pytest

from sockslocal.address import Endpoint
from sockslocal.net.ears import Ears

LOCAL, EVERYWHERE, EVERYWHERE6 = Endpoint("127.0.0.1", 53), Endpoint("0.0.0.0", 54), Endpoint("::", 54)
HERE = "192.0.2.9"


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    """One that stands for any."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        yield sock


@pytest.fixture
def ears(sock: socket.socket) -> Ears:
    """Some."""
    ears = Ears()
    for place in (LOCAL, EVERYWHERE, EVERYWHERE6):
        ears.add(place, sock)
    return ears


@pytest.mark.parametrize(
    "place",
    [LOCAL, *(Endpoint(host, 54) for host in ("127.0.0.1", "127.9.9.9", "::1", HERE))],
    ids=str,
)
def test_what_they_hear(ears: Ears, place: Endpoint) -> None:
    """What is sent to their very address; one that is bound to all hears what goes to any of this machine."""
    assert ears.hears(place, HERE)


@pytest.mark.parametrize(
    "place",
    [
        LOCAL._replace(port=55),
        LOCAL._replace(host="127.0.0.2"),
        LOCAL._replace(host=HERE),
        EVERYWHERE._replace(host="192.0.2.1"),
        EVERYWHERE._replace(host="relay.test"),
    ],
    ids=str,
)
def test_what_they_do_not_hear(ears: Ears, place: Endpoint) -> None:
    """Other ports, and other machines at the same one."""
    assert not ears.hears(place, HERE)


def test_one_that_is_closed(ears: Ears, sock: socket.socket) -> None:
    """It hears nothing any more, and is not to be sent from."""
    assert ears.at(LOCAL) is sock
    for _ in range(2):
        ears.discard(LOCAL)
    assert ears.at(LOCAL) is None
    assert not ears.hears(LOCAL, HERE)
