import asyncio
import dataclasses
import socket
from collections.abc import Callable

import dns.flags
import dns.message
import dns.rcode
import pytest

from fakes.dns_client import PATIENCE_S, Clock, ask, resolver
from fakes.dns_tunnel import FakeTunnel, addresses, query, response, silence, until
from sockslocal.net.datagrams import SLOTS, Batch, PlainBatch, best_batch
from sockslocal.net.poller import LoopPoller, Poller, best_poller
from sockslocal.resolver import listen_udp
from sockslocal.resolver.listen_udp import FEW
from sockslocal.resolver.memory import Memory
from sockslocal.resolver.resolver import Resolver

Octets = Callable[[], Batch]


@pytest.mark.parametrize("poller", [best_poller, LoopPoller])
@pytest.mark.parametrize("batch", [best_batch, PlainBatch])
async def test_misses_and_hits_are_answered(batch: Callable[[], Batch], poller: Callable[[], Poller]) -> None:
    """By every engine: the first by the upstream, the second by the cache, as much as malformed ones."""
    tunnel = FakeTunnel()
    async with resolver(tunnel, batch=batch(), poller=poller()) as made:
        for _ in range(2):
            reply = await ask(made, query())
            assert reply.answer[0][0].to_text() == "192.0.2.1"
        assert len(tunnel.asked) == 1
        assert (made.status().queries, made.status().cache_hits) == (2, 1)


@pytest.mark.parametrize("count", [1, 63, 64, 65, 500])
async def test_queries_that_come_together_are_all_answered(count: int) -> None:
    """However many wait in the socket when it is read: hits, misses and malformed ones, mixed."""
    tunnel = FakeTunnel()
    async with resolver(tunnel) as made:
        await ask(made, query("known.example"))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect(made.endpoints[0])
            for number in range(count):
                name = "known.example" if number % 2 else f"host{number}.example"
                client.send(query(name, id=number).to_wire() + b"x" * (number % 5 == 4))
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(10):
                replies = [await loop.sock_recv(client, 600) for _ in range(count)]
        numbers = {int.from_bytes(reply[:2], "big"): reply[3] & 15 for reply in replies}
        assert numbers == {number: int(number % 5 == 4) for number in range(count)}


@pytest.mark.parametrize(("name", "share"), [("known.example", SLOTS), ("other.example", FEW)])
async def test_few_are_taken_at_once_while_they_cause_work(
    name: str, share: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others have their turn between them; hits are taken as they come."""
    taken: list[int] = []
    async with resolver(FakeTunnel()) as made:
        await ask(made, query("known.example"))
        (listener,) = made._listeners.datagrams
        answer = listener._reader._received

        def noting(batch: Batch, count: int) -> bool | None:
            taken.append(count)
            return answer(batch, count)

        monkeypatch.setattr(listener._reader, "_received", noting)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(made.endpoints[0])
            client.send(query(name).to_wire())
            await until(lambda: len(taken) == 1)
            for number in range(SLOTS):
                client.send(query(name, id=number).to_wire())
            await until(lambda: sum(taken) == SLOTS + 1)
        assert max(taken) == share


async def test_two_clients_get_their_own_replies() -> None:
    """Each from the address it asked, even under the same id, IPv4 and IPv6."""
    tunnel = FakeTunnel()
    async with resolver(tunnel, listen=("127.0.0.1", "::1")) as made:
        messages = [query(f"host{number}.example", id=7) for number in range(10)]
        replies = await asyncio.gather(
            *(ask(made, message, number % 2) for number, message in enumerate(messages))
        )
        assert [reply.question for reply in replies] == [message.question for message in messages]


async def test_an_answer_too_large_comes_with_tc() -> None:
    """From the upstream and from the cache alike, whole where EDNS makes room."""

    def script(asked: dns.message.Message, _path: str) -> list[bytes]:
        return [response(asked, *(f"www.example TXT {'x' * 200}{number}" for number in range(5)))]

    async with resolver(FakeTunnel(script), "tcp") as made:
        for _ in range(2):
            reply = await ask(made, query(rdtype="TXT"))
            assert reply.flags & dns.flags.TC
            assert not reply.answer
        reply = await ask(made, query(rdtype="TXT", use_edns=0, payload=1232))
        assert not reply.flags & dns.flags.TC
        assert len(reply.answer[0]) == 5


async def test_what_is_no_query_gets_no_reply() -> None:
    """Short datagrams and responses: silence, and the next query is answered (checklist 21, 22)."""
    async with resolver(FakeTunnel()) as made:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect(made.endpoints[0])
            message = query(id=1).to_wire()
            for octets in (b"", message[:11], message[:2] + b"\x81" + message[3:], query(id=2).to_wire()):
                client.send(octets)
            async with asyncio.timeout(5):
                reply = await asyncio.get_running_loop().sock_recv(client, 600)
            assert reply[:2] == b"\0\2"


async def test_a_client_that_left_costs_nothing() -> None:
    """The answer to a closed port, and the ICMP error it brings, end nothing."""
    tunnel = FakeTunnel(silence)
    async with resolver(tunnel) as made:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(query().to_wire(), made.endpoints[0])
        await until(lambda: bool(tunnel.asked))
        (flow,) = tunnel.flows
        flow.deliver(flow.sent[0][:2] + addresses(tunnel.asked[0][1])[0][2:])
        for _ in range(3):
            assert (await ask(made, query())).rcode() == dns.rcode.NOERROR


async def test_answers_after_closing_go_nowhere() -> None:
    """The port is free at once."""
    tunnel = FakeTunnel(silence)
    async with resolver(tunnel) as made:
        endpoint = made.endpoints[0]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(query().to_wire(), endpoint)
            await until(lambda: bool(tunnel.asked))
            made.stop_listening()
            (flow,) = tunnel.flows
            flow.deliver(flow.sent[0][:2] + addresses(tunnel.asked[0][1])[0][2:])
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
                again.bind(endpoint)
            await made.close(1)


async def test_a_flood_leaves_the_loop_its_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the cache did not know is on its way before many more are read."""
    monkeypatch.setattr(listen_udp, "FEW", 4)
    monkeypatch.setattr("sockslocal.net.datagram_reader.SLOTS", 4)
    begun: list[int] = []

    async with resolver(FakeTunnel(silence), batch=PlainBatch()) as made:
        (listener,) = made._listeners.datagrams
        answer = listener._reader._received

        def watched(batch: Batch, count: int) -> bool | None:
            begun.append(len(made._pipeline._tasks))
            return answer(batch, count)

        monkeypatch.setattr(listener._reader, "_received", watched)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for number in range(16):
                client.sendto(query(f"host{number}.example").to_wire(), made.endpoints[0])
            await until(lambda: len(begun) == 4)
    assert begun[2] > 0


async def test_who_is_connected_with_any_of_our_addresses_hears_the_answer() -> None:
    """It comes from the address that was asked, a hit as well as what took a while."""
    loop = asyncio.get_running_loop()
    async with resolver(FakeTunnel(), listen=("0.0.0.0",)) as made:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect(("127.0.0.2", made.endpoints[0].port))
            for number in range(2):
                client.send(query(id=number).to_wire())
                async with asyncio.timeout(5):
                    reply = dns.message.from_wire(await loop.sock_recv(client, 1232))
                assert (reply.id, len(reply.answer)) == (number, 1)
    assert made.details().cache_hits == 1


async def test_what_waits_is_answered_by_who_comes_next() -> None:
    """A resolver that is replaced answers what it was asked, by the socket that has its address then."""
    tunnel, next_tunnel = FakeTunnel(silence), FakeTunnel()
    async with resolver(tunnel) as old:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.connect(old.endpoints[0])
            client.send(query(id=7).to_wire())
            await until(lambda: bool(tunnel.asked))
            closing = asyncio.create_task(old.close(PATIENCE_S))
            await until(lambda: old._listeners.datagrams[0]._reader.closed)
            config = dataclasses.replace(old._config, listen=tuple(old.endpoints))
            made = Resolver(config, next_tunnel, old._listeners._engine, Memory(clock=Clock()))
            made.open()
            (flow,) = tunnel.flows
            flow.deliver(flow.sent[0][:2] + addresses(tunnel.asked[0][1])[0][2:])
            async with asyncio.timeout(PATIENCE_S):
                reply = await asyncio.get_running_loop().sock_recv(client, 600)
            await closing
            await made.close(0)
    assert dns.message.from_wire(reply).answer[0][0].to_text() == "192.0.2.1"
    assert not next_tunnel.asked
