import asyncio
import socket
import struct
from collections.abc import Callable

import dns.message
import dns.rcode
import pytest

from fakes.dns_client import PATIENCE_S, ask, connected, resolver
from fakes.dns_tunnel import FakeTunnel, addresses, query, response, silence, until
from fakes.engine import POLLERS
from sockslocal.net.poller import Poller
from sockslocal.resolver import listen_tcp, wire
from sockslocal.resolver.listen_tcp import MAX_OUTSTANDING, StreamConnection


@pytest.mark.parametrize("poller", POLLERS)
async def test_a_miss_and_a_hit_are_answered(poller: Callable[[], Poller]) -> None:
    """On one connection (checklist 56), with either poller."""
    tunnel = FakeTunnel()
    async with resolver(tunnel, poller=poller()) as made, connected(made) as client:
        for _ in range(2):
            client.send(query())
            assert (await client.receive()).answer[0][0].to_text() == "192.0.2.1"
        assert len(tunnel.asked) == 1
        assert (made.status().queries, made.status().cache_hits) == (2, 1)


async def test_a_hundred_queries_in_one_write_get_a_hundred_answers() -> None:
    """Each under its own id (checklist 58)."""
    async with resolver(FakeTunnel()) as made, connected(made) as client:
        messages = {number: query(f"host{number % 60}.example", id=number) for number in range(100)}
        client.send(*messages.values())
        replies = [await client.receive() for _ in range(100)]
        assert {reply.id for reply in replies} == set(messages)
        assert all(messages[reply.id].is_response(reply) for reply in replies)


async def test_a_slow_query_does_not_hold_up_the_others() -> None:
    """Answers come as they are known (checklist 62)."""
    held: list[bytes] = []

    def script(asked: dns.message.Message, path: str) -> list[bytes]:
        if asked.question[0].name.to_text() != "slow.example.":
            return addresses(asked)
        held.append(asked.id.to_bytes(2, "big") + addresses(asked)[0][2:])
        return []

    tunnel = FakeTunnel(script)
    async with resolver(tunnel, "tcp") as made, connected(made) as client:
        client.send(query("slow.example", id=1), query("quick.example", id=2), query("swift.example", id=3))
        assert {(await client.receive()).id, (await client.receive()).id} == {2, 3}
        tunnel.streams[0].write(len(held[0]).to_bytes(2, "big") + held[0])
        assert (await client.receive()).id == 1


async def test_a_message_may_come_in_single_octets() -> None:
    """The length as well (checklist 57)."""
    async with resolver(FakeTunnel()) as made, connected(made) as client:
        for octet in query(id=7).to_wire(prepend_length=True):
            client.writer.write(bytes((octet,)))
            await client.writer.drain()
            await asyncio.sleep(0)
        assert (await client.receive()).id == 7


async def test_a_client_that_closes_its_side_gets_its_answers() -> None:
    """Then the connection is closed (checklist 59); one that asked nothing is closed at once."""
    async with resolver(FakeTunnel()) as made:
        async with connected(made) as client:
            client.send(query(id=7), query("other.example", id=8))
            client.writer.write_eof()
            assert {(await client.receive()).id, (await client.receive()).id} == {7, 8}
            assert await client.ended()
        async with connected(made) as client:
            client.writer.write_eof()
            assert await client.ended()


@pytest.mark.parametrize("length", [0, 11])
async def test_a_length_below_a_header_ends_the_connection(length: int) -> None:
    """There is no way to go on after it (checklist 60); what was asked before is answered."""
    async with resolver(FakeTunnel()) as made:
        await ask(made, query())
        async with connected(made) as client:
            client.send(query(id=1), query("unknown.example", id=2))
            client.writer.write(
                struct.pack("!H", length) + b"x" * length + query().to_wire(prepend_length=True)
            )
            assert {(await client.receive()).id, (await client.receive()).id} == {1, 2}
            assert await client.ended()
        assert made.status().queries == 3


async def test_a_web_page_cannot_ask_behind_an_http_head() -> None:
    """What a browser sends first is no query, so that nothing in it is taken for one."""
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n"
    smuggled = head.ljust(2 + int.from_bytes(head[:2], "big")) + query().to_wire(prepend_length=True)
    async with resolver(FakeTunnel()) as made, connected(made) as client:
        client.writer.write(smuggled)
        assert await client.ended()
        assert made.status().queries == 0


async def test_a_query_that_is_too_long_is_told_so() -> None:
    """And the next one is answered (RFC 8906 §5)."""
    async with resolver(FakeTunnel()) as made, connected(made) as client:
        message = query(id=1).to_wire() + bytes(wire.MAX_QUERY)
        client.writer.write(len(message).to_bytes(2, "big") + message)
        client.send(query(id=2))
        first = await client.receive()
        assert (first.id, first.rcode()) == (1, dns.rcode.FORMERR)
        assert (await client.receive()).id == 2


async def test_malformed_messages_cost_only_themselves() -> None:
    """FORMERR, silence for a response, and the next query is answered."""
    async with resolver(FakeTunnel()) as made, connected(made) as client:
        octets = query(id=1).to_wire()
        for message in (octets + b"x", octets[:2] + b"\x81" + octets[3:]):
            client.writer.write(len(message).to_bytes(2, "big") + message)
        client.send(query(id=2))
        first = await client.receive()
        assert (first.id, first.rcode()) == (1, dns.rcode.FORMERR)
        assert (await client.receive()).id == 2


async def test_an_answer_is_whole_however_large() -> None:
    """TC is for UDP."""

    def script(asked: dns.message.Message, _path: str) -> list[bytes]:
        return [response(asked, *(f"www.example TXT {number:0250}" for number in range(200)))]

    async with resolver(FakeTunnel(script), "tcp") as made, connected(made) as client:
        for _ in range(2):
            client.send(query(rdtype="TXT"))
            assert len((await client.receive()).answer[0]) == 200


async def test_an_idle_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that sends octets but no whole query (checklist 60); never one that waits for an answer."""
    monkeypatch.setattr(listen_tcp, "IDLE_S", 0.05)

    tunnel = FakeTunnel(silence)
    async with resolver(tunnel) as made:
        async with connected(made) as idle, connected(made) as dripping:
            dripping.writer.write(b"\0")
            assert await idle.ended()
            assert await dripping.ended()
        async with connected(made) as client:
            client.send(query(id=7))
            await until(lambda: bool(tunnel.asked))
            (served,) = made._listeners.streams[0].connections
            served.used = 0.0
            served._close_if_idle()
            (flow,) = tunnel.flows
            flow.deliver(flow.sent[0][:2] + addresses(tunnel.asked[0][1])[0][2:])
            assert (await client.receive()).id == 7


async def test_idle_connections_end_sooner_where_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as more than half of them are taken (checklist 60)."""
    monkeypatch.setattr(listen_tcp, "MAX_CONNECTIONS", 2)
    async with resolver(FakeTunnel()) as made, connected(made):
        (server,) = made._listeners.streams
        await until(lambda: len(server.connections) == 1)
        assert server.idle_s == listen_tcp.IDLE_S
        async with connected(made):
            await until(lambda: len(server.connections) == 2)
            assert server.idle_s == listen_tcp.BUSY_IDLE_S < listen_tcp.IDLE_S


class Recorder(asyncio.Transport):
    """A transport that remembers each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def is_closing(self) -> bool:
        return False


async def test_length_and_reply_leave_in_one_write() -> None:
    """And all that is answered at once: some clients read no further than a segment (checklist 57)."""
    async with resolver(FakeTunnel()) as made:
        await ask(made, query())
        client, transport = StreamConnection(made._listeners.streams[0]), Recorder()
        client.connection_made(transport)
        hit = query().to_wire(prepend_length=True)
        client.data_received(hit + hit)
        client.data_received(query("other.example").to_wire(prepend_length=True))
        await until(lambda: len(transport.writes) == 2)
        client.connection_lost(None)
    for octets, count in zip(transport.writes, (2, 1), strict=True):
        at = 0
        for _ in range(count):
            at += 2 + int.from_bytes(octets[at : at + 2], "big")
        assert at == len(octets)


async def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that has been idle longest makes room; where none is idle the new one is closed."""
    monkeypatch.setattr(listen_tcp, "MAX_CONNECTIONS", 2)

    tunnel = FakeTunnel()
    async with resolver(tunnel) as made, connected(made) as first, connected(made) as second:
        for client in (first, second):
            client.send(query())
            await client.receive()
        assert made._listeners.streams[0].idle_s == listen_tcp.BUSY_IDLE_S
        async with connected(made) as third:
            assert await first.ended()
            tunnel.script = silence
            second.send(query("a.example"))
            third.send(query("b.example"))
            await until(lambda: len(tunnel.asked) == 3)
            async with connected(made) as fourth:
                assert await fourth.ended()


async def test_connections_are_bounded_in_a_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each one accepted in one turn of the loop needs room of its own; one with none is closed."""
    monkeypatch.setattr(listen_tcp, "MAX_CONNECTIONS", 2)

    async with resolver(FakeTunnel()) as made, connected(made) as first, connected(made) as second:
        (server,) = made._listeners.streams
        await until(lambda: len(server.connections) == 2)
        pairs = [socket.socketpair() for _ in range(3)]
        for near, _ in pairs:
            near.setblocking(False)
            server._accepted(near)
        assert pairs[2][0].fileno() == -1
        assert await first.ended()
        assert await second.ended()
        await until(lambda: not server._adopting)
        assert len(server.connections) == 2
        for _, far in pairs:
            far.close()


async def test_outstanding_queries_of_a_connection_are_bounded() -> None:
    """No more is read from it until some are answered; in the end all are."""
    tunnel = FakeTunnel(silence)
    async with resolver(tunnel) as made, connected(made) as client:
        count = 2 * MAX_OUTSTANDING + 10
        client.send(*(query(f"host{number}.example", id=number) for number in range(count)))
        await until(lambda: len(tunnel.asked) == MAX_OUTSTANDING)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(tunnel.asked) == MAX_OUTSTANDING
        tunnel.script = addresses
        (flow,) = tunnel.flows
        for sent, (_, asked) in list(zip(flow.sent, tunnel.asked, strict=True)):
            flow.deliver(sent[:2] + addresses(asked)[0][2:])
        assert {(await client.receive()).id for _ in range(count)} == set(range(count))


def large(asked: dns.message.Message, _path: str) -> list[bytes]:
    """The script of a server whose answers are some 50 KB."""
    return [
        response(
            asked,
            *(
                f"{asked.question[0].name.to_text(omit_final_dot=True)} TXT {number:0250}"
                for number in range(200)
            ),
        )
    ]


async def test_a_client_that_does_not_read_is_not_listened_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """While answers wait no more of its queries are taken; when it reads, all are answered."""
    most, count = 0, 400
    write = StreamConnection._write

    def watched(self: StreamConnection, octets: bytes | bytearray) -> None:
        nonlocal most
        write(self, octets)
        most = max(most, len(octets), self._transport.get_write_buffer_size())

    monkeypatch.setattr(StreamConnection, "_write", watched)
    async with resolver(FakeTunnel(large), "tcp") as made, connected(made) as client:
        client.send(query(rdtype="TXT"))
        length = len((await client.receive()).to_wire(max_size=65_535))
        client.send(*[query(rdtype="TXT")] * count)
        (served,) = made._listeners.streams[0].connections
        await until(lambda: served._unread and served._turn is None)
        taken = made.status().queries
        for _ in range(50):
            await asyncio.sleep(0)
        assert made.status().queries == taken < count
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(count):
                assert await client.reader.readexactly(2) == length.to_bytes(2, "big")
                await client.reader.readexactly(length)
        assert most <= listen_tcp.ENOUGH_UNSENT + 2 * length
        assert not served._incoming.ready


async def test_queries_have_to_share_the_loop() -> None:
    """However many come at once, others have a turn after some of them."""
    async with resolver(FakeTunnel()) as made:
        await ask(made, query())
        client, transport = StreamConnection(made._listeners.streams[0]), Recorder()
        client.connection_made(transport)
        client.data_received(query().to_wire(prepend_length=True) * (listen_tcp.AT_ONCE + 1))
        assert made.status().queries == 1 + listen_tcp.AT_ONCE
        await until(lambda: len(transport.writes) == 2)
        assert made.status().queries == 2 + listen_tcp.AT_ONCE
        client.data_received(query().to_wire(prepend_length=True) * (listen_tcp.AT_ONCE + 1))
        client.connection_lost(None)
        await asyncio.sleep(0)
        assert len(transport.writes) == 3


async def test_a_client_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while, like any that is idle: it has what it has not read taken from it."""
    monkeypatch.setattr(listen_tcp, "IDLE_S", 0.05)
    async with resolver(FakeTunnel(large), "tcp") as made:
        await ask(made, query(rdtype="TXT"))
        async with connected(made) as client:
            client.send(*[query(rdtype="TXT")] * 400)
            (server,) = made._listeners.streams
            await until(lambda: len(server.connections) == 1)
            await until(lambda: not server.connections)


async def test_answers_to_who_does_not_read_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that come late must not pile up here."""
    monkeypatch.setattr(listen_tcp, "MAX_UNSENT", 100_000)
    async with resolver(FakeTunnel(large), "tcp") as made, connected(made) as client:
        client.send(query(rdtype="TXT"))
        await client.receive()
        (served,) = made._listeners.streams[0].connections
        for transport in (served._transport, client.writer.transport):
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.send(*(query(f"host{number}.example", "TXT") for number in range(20)))
        await until(lambda: not made._listeners.streams[0].connections)


async def test_a_client_that_resets_costs_nothing() -> None:
    """While it waits, and before it was even looked at."""
    tunnel = FakeTunnel(silence)
    async with resolver(tunnel) as made:
        for message in (b"", query().to_wire(prepend_length=True)):
            with socket.create_connection(made.endpoints[0]) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.sendall(message)
                await until(lambda: bool(tunnel.asked) or not message)  # noqa: B023 (at once)
        await until(lambda: not made._listeners.streams[0].connections)
        (flow,) = tunnel.flows
        flow.deliver(flow.sent[0][:2] + addresses(tunnel.asked[0][1])[0][2:])
        async with connected(made) as client:
            client.send(query(id=9))
            assert (await client.receive()).id == 9


async def test_closing_ends_connections_after_what_they_wait_for() -> None:
    """No new ones are accepted meanwhile."""
    tunnel = FakeTunnel(silence)
    async with resolver(tunnel) as made, connected(made) as client:
        client.send(query(id=7))
        await until(lambda: bool(tunnel.asked))
        closing = asyncio.create_task(made.close(PATIENCE_S))
        await asyncio.sleep(0)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*made.endpoints[0])
        (flow,) = tunnel.flows
        flow.deliver(flow.sent[0][:2] + addresses(tunnel.asked[0][1])[0][2:])
        assert (await client.receive()).id == 7
        await closing
        assert await client.ended()


async def test_closing_right_after_accepting_leaves_nothing() -> None:
    """A connection that is still being taken over is closed too."""
    async with resolver(FakeTunnel()) as made:
        (server,) = made._listeners.streams
        near, far = socket.socketpair()
        near.setblocking(False)
        server._accepted(near)
        await made.close(0)
        with far:
            far.setblocking(False)
            async with asyncio.timeout(PATIENCE_S):
                assert await asyncio.get_running_loop().sock_recv(far, 1) == b""
