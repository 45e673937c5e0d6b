"""A UDP socket on the running loop."""

import asyncio
import socket
from pathlib import Path

import pytest

from sockslocal.address import Endpoint
from sockslocal.demo.datagrams import DatagramSocket

INTERFACES = Path("/proc/net/if_inet6")
IPV6 = INTERFACES.exists() and f"{1:032x} " in INTERFACES.read_text()


def test_every_datagram_arrives_with_its_sender() -> None:
    """Empty ones and more than one turn's worth of them too."""
    payloads = [b"", *(str(number).encode() for number in range(200))]

    async def main() -> list[tuple[bytes, Endpoint]]:
        received: list[tuple[bytes, Endpoint]] = []
        done = asyncio.Event()

        def note(payload: bytes, sender: Endpoint) -> None:
            received.append((payload, sender))
            if len(received) == len(payloads):
                done.set()

        listening = DatagramSocket("127.0.0.1", note)
        sending = DatagramSocket("127.0.0.1", lambda _payload, _sender: None)
        for payload in payloads:
            sending.send(payload, listening.local)
        async with asyncio.timeout(10):
            await done.wait()
        assert {sender for _, sender in received} == {sending.local}
        listening.close()
        sending.close()
        return received

    assert [payload for payload, _ in asyncio.run(main())] == payloads


def test_what_cannot_be_sent_is_lost() -> None:
    """An oversized datagram and an address of another family raise nothing."""

    async def main() -> None:
        sending = DatagramSocket("127.0.0.1", lambda _payload, _sender: None)
        sending.send(bytes(70_000), sending.local)
        sending.send(b"", Endpoint("::1", 9))
        sending.close()

    asyncio.run(main())


@pytest.mark.skipif(not IPV6, reason="this machine has no IPv6")
def test_an_ipv6_host_is_as_good() -> None:
    """The family follows the host."""

    async def main() -> tuple[bytes, Endpoint]:
        received: asyncio.Queue[tuple[bytes, Endpoint]] = asyncio.Queue()
        listening = DatagramSocket("::1", lambda payload, sender: received.put_nowait((payload, sender)))
        listening.send(b"to itself", listening.local)
        async with asyncio.timeout(10):
            first = await received.get()
        assert first[1] == listening.local
        listening.close()
        return first

    payload, sender = asyncio.run(main())
    assert (payload, sender.host) == (b"to itself", "::1")


def test_it_may_be_closed_by_what_it_received() -> None:
    """The rest of the turn is given up."""

    async def main() -> int:
        received: list[bytes] = []
        closed = asyncio.Event()

        def close(payload: bytes, _sender: Endpoint) -> None:
            received.append(payload)
            listening.close()
            closed.set()

        listening = DatagramSocket("127.0.0.1", close)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"first", listening.local)
            sender.sendto(b"second", listening.local)
        async with asyncio.timeout(10):
            await closed.wait()
        return len(received)

    assert asyncio.run(main()) == 1
