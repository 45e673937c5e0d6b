import asyncio
from contextlib import suppress

import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.dns_tunnel import REFUSAL, FakeTunnel, addresses, response, silence, until
from sockslocal.address import Endpoint
from sockslocal.errors import ServerError
from sockslocal.resolver import channel, stream, wire
from sockslocal.resolver.ask_tcp import MAX_OUTSTANDING, Framer, TcpConnection, tcp_transport
from sockslocal.resolver.errors import LostError
from sockslocal.resolver.stream import PlainDial, PlainStream
from sockslocal.resolver.transport import StreamTransport

pytestmark = pytest.mark.usefixtures("quick_loop")

SERVER = Endpoint("dns.example", 53)
QUESTION = b"\3www\7example\0\0\1\0\1"
MESSAGE = wire.encode_query(QUESTION, dnssec_ok=False, checking_disabled=False, edns=True)


def asking(transport: StreamTransport[bytes]) -> asyncio.Task[bytes]:
    """Someone who waits for the answer."""
    return asyncio.create_task(transport.ask(MESSAGE, QUESTION))


def is_ended(transport: StreamTransport[bytes]) -> bool:
    """Whether its connection is over."""
    current = transport._connections.current
    return current is not None and current.ended is not None


async def closed(tunnel: FakeTunnel, transport: StreamTransport[bytes]) -> None:
    """End both."""
    await transport.close()
    await tunnel.close()


async def test_a_query_is_answered() -> None:
    """Under an id of this connection, in the letter case of the client."""
    tunnel = FakeTunnel()
    transport = tcp_transport(PlainDial(tunnel, SERVER))
    answer = await transport.ask(MESSAGE, QUESTION)
    assert wire.answers(answer, QUESTION, exact=True)
    assert tunnel.targets == [SERVER]
    await closed(tunnel, transport)


async def test_one_connection_carries_all_queries_and_answers_come_in_any_order() -> None:
    """The first ones ask while it is still being made (RFC 7766 §6.2.1)."""
    held: list[bytes] = []

    def hold(asked: dns.message.Message, _path: str) -> list[bytes]:
        held.insert(0, asked.id.to_bytes(2, "big") + response(asked)[2:])
        return []

    tunnel = FakeTunnel(hold)
    transport = tcp_transport(PlainDial(tunnel, SERVER))
    tasks = [asking(transport) for _ in range(100)]
    await until(lambda: len(held) == 100)
    assert len({message[:2] for message in held}) == 100
    tunnel.streams[0].write(b"".join(len(message).to_bytes(2, "big") + message for message in held))
    answers = await asyncio.gather(*tasks)
    assert sorted(answers) == sorted(held)
    assert len(tunnel.streams) == 1
    await closed(tunnel, transport)


async def test_length_and_message_leave_in_one_write() -> None:
    """Some servers read no further than the first segment (checklist 57)."""
    tunnel = FakeTunnel()
    transport = tcp_transport(PlainDial(tunnel, SERVER))
    reader, writer = await tunnel.open_stream(SERVER)
    writes: list[bytes] = []
    writer.write = writes.append  # type: ignore[method-assign,assignment]
    connection = TcpConnection(PlainStream(reader, writer), 10.0)
    task = asyncio.create_task(connection.ask(MESSAGE, QUESTION))
    await until(lambda: bool(writes))
    assert writes[0][:2] == (len(writes[0]) - 2).to_bytes(2, "big")
    connection.end(LostError("closed"))
    await asyncio.gather(task, return_exceptions=True)
    await closed(tunnel, transport)


async def test_a_connection_closed_with_queries_outstanding_is_replaced_once() -> None:
    """They are asked again on a new one (checklist 61), and fail when that closes as well."""
    tunnel = FakeTunnel(silence)
    transport = tcp_transport(PlainDial(tunnel, SERVER))
    task = asking(transport)
    for streams_made in (1, 2):
        await until(lambda: len(tunnel.asked) == streams_made)  # noqa: B023 (at once)
        tunnel.streams[-1].close()
    with pytest.raises(LostError):
        await task
    assert len(tunnel.streams) == 2
    await closed(tunnel, transport)


async def test_a_connection_closed_while_idle_is_replaced_by_the_next_query() -> None:
    """Servers do that after a few seconds."""
    tunnel = FakeTunnel()
    transport = tcp_transport(PlainDial(tunnel, SERVER))
    for _ in range(3):
        await transport.ask(MESSAGE, QUESTION)
        tunnel.streams[-1].close()
        await until(lambda: is_ended(transport))
    assert len(tunnel.streams) == 3
    await closed(tunnel, transport)


async def test_an_idle_connection_is_closed() -> None:
    """By us, before the server has to (RFC 7766 §6.2.3); never while someone waits."""
    tunnel = FakeTunnel()
    transport = tcp_transport(PlainDial(tunnel, SERVER), 0.05)
    await transport.ask(MESSAGE, QUESTION)
    await until(tunnel.streams[0].is_closing)
    tunnel.script = silence
    task = asking(transport)
    await until(lambda: len(tunnel.asked) == 2)
    connection = transport._connections.current
    assert connection is not None
    connection._close_if_idle()
    assert connection.ended is None
    await closed(tunnel, transport)
    with pytest.raises(LostError):
        await task
    assert len(tunnel.streams) == 2


async def test_a_silent_connection_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the way to the server has died without a word: the next query does not wait for it."""
    monkeypatch.setattr(channel, "FAIR_S", 0.0)

    tunnel = FakeTunnel(silence)
    transport = tcp_transport(PlainDial(tunnel, SERVER))
    with suppress(TimeoutError):
        await asyncio.wait_for(transport.ask(MESSAGE, QUESTION), 0.05)
    tunnel.script = addresses
    await transport.ask(MESSAGE, QUESTION)
    assert len(tunnel.streams) == 2
    await closed(tunnel, transport)


async def test_an_attempt_to_connect_that_hangs_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an outage the second attempt works where the first one still waits."""
    monkeypatch.setattr(stream, "ATTEMPT_S", 0.01)

    class Hanging(FakeTunnel):
        async def open_stream(self, target):  # type: ignore[no-untyped-def]
            self.targets.append(target)
            if len(self.targets) == 1:
                await asyncio.Event().wait()
            return await super().open_stream(target)

    tunnel = Hanging()
    transport = tcp_transport(PlainDial(tunnel, SERVER))
    await transport.ask(MESSAGE, QUESTION)
    await closed(tunnel, transport)


async def test_attempts_to_connect_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """With TimeoutError after the last."""
    monkeypatch.setattr(stream, "ATTEMPT_S", 0.01)

    class Hanging(FakeTunnel):
        async def open_stream(self, target):  # type: ignore[no-untyped-def]
            await asyncio.Event().wait()

    transport = tcp_transport(PlainDial(Hanging(), SERVER))
    with pytest.raises(TimeoutError):
        await transport.ask(MESSAGE, QUESTION)


async def test_all_who_wait_for_a_connection_learn_why_there_is_none() -> None:
    """One attempt for all of them, an exception for each; the next query makes a new one."""
    tunnel = FakeTunnel()
    tunnel.refusal = REFUSAL
    transport = tcp_transport(PlainDial(tunnel, SERVER))
    outcomes = await asyncio.gather(*(asking(transport) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(outcome, ServerError) for outcome in outcomes)
    assert len(set(map(id, outcomes))) == 5
    assert len(tunnel.targets) == 1
    tunnel.refusal = None
    await transport.ask(MESSAGE, QUESTION)
    await closed(tunnel, transport)


async def test_closing_ends_an_attempt_to_connect() -> None:
    """Nothing is left behind."""

    class Hanging(FakeTunnel):
        async def open_stream(self, target):  # type: ignore[no-untyped-def]
            self.targets.append(target)
            await asyncio.Event().wait()

    tunnel = Hanging()
    transport = tcp_transport(PlainDial(tunnel, SERVER))
    task = asking(transport)
    await until(lambda: bool(tunnel.targets))
    await transport.close()
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(outcome, asyncio.CancelledError)


async def test_closing_ends_a_connection_that_was_just_made() -> None:
    """Its task has ended then, and cannot be cancelled any more."""
    tunnel = FakeTunnel()
    transport = tcp_transport(PlainDial(tunnel, SERVER))
    task = asking(transport)
    await until(lambda: transport._connecting is not None)
    connecting = transport._connecting
    assert connecting is not None
    while not connecting.done():  # noqa: ASYNC110 (to go on in the very turn in which it ends)
        await asyncio.sleep(0)
    await transport.close()
    assert (await connecting).ended is not None
    with pytest.raises(LostError, match="closed"):
        await task
    assert transport._connecting is None
    await tunnel.close()


async def test_closing_can_be_cancelled() -> None:
    """Whoever has waited enough for it is not held; what was begun ends all the same."""
    release = asyncio.Event()

    class Stubborn(FakeTunnel):
        async def open_stream(self, target):  # type: ignore[no-untyped-def]
            self.targets.append(target)
            try:
                await asyncio.Event().wait()
            finally:
                await release.wait()

    tunnel = Stubborn()
    transport = tcp_transport(PlainDial(tunnel, SERVER))
    task = asking(transport)
    await until(lambda: bool(tunnel.targets))
    closing = asyncio.create_task(transport.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait({closing}, timeout=5.0)
    assert closing.cancelled()
    release.set()
    await asyncio.wait({task}, timeout=5.0)
    assert task.cancelled()


async def test_messages_that_match_nothing_are_counted_and_end_nobodys_wait() -> None:
    """Another name under the same id; then the true answer (checklist 70)."""

    def script(asked: dns.message.Message, _path: str) -> list[bytes]:
        true = response(asked)
        return [true.replace(b"www", b"xxx"), b"\0\7", true]

    tunnel = FakeTunnel(script)
    transport = tcp_transport(PlainDial(tunnel, SERVER))
    answer = await transport.ask(MESSAGE, QUESTION)
    assert wire.answers(answer, QUESTION, exact=True)
    assert transport.mismatches == 2
    await closed(tunnel, transport)


async def test_an_error_without_the_question_is_an_answer() -> None:
    """Old servers send no more than a header; nobody else can write into this connection."""
    tunnel = FakeTunnel(lambda asked, path: [b"\0\0\x81\1\0\0\0\0\0\0\0\0"])
    transport = tcp_transport(PlainDial(tunnel, SERVER))
    assert wire.is_bare_error(await transport.ask(MESSAGE, QUESTION))
    await closed(tunnel, transport)


async def test_outstanding_queries_are_bounded() -> None:
    """Those beyond wait until others are answered."""
    tunnel = FakeTunnel(silence)
    transport = tcp_transport(PlainDial(tunnel, SERVER))
    tasks = [asking(transport) for _ in range(MAX_OUTSTANDING + 10)]
    await until(lambda: len(tunnel.asked) == MAX_OUTSTANDING)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(tunnel.asked) == MAX_OUTSTANDING
    tunnel.script = addresses
    for task in tasks[:10]:
        task.cancel()
    await until(lambda: len(tunnel.asked) == MAX_OUTSTANDING + 10)
    await asyncio.gather(*tasks[-10:])
    await closed(tunnel, transport)
    await asyncio.gather(*tasks, return_exceptions=True)


@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(1, 700))
def test_messages_in_any_pieces(messages: list[bytes], size: int) -> None:
    """Lengths too may be cut in two (checklist 57)."""
    octets = b"".join(len(message).to_bytes(2, "big") + message for message in messages)
    framer = Framer()
    found = [message for at in range(0, len(octets), size) for message in framer.take(octets[at : at + size])]
    assert found == messages


async def test_after_a_renewal_another_connection_is_used() -> None:
    """What waits on the old one is asked again on the new one."""
    tunnel = FakeTunnel(silence)
    transport = tcp_transport(PlainDial(tunnel, SERVER))
    transport.renew()
    waiting = asking(transport)
    await until(lambda: len(tunnel.asked) == 1)
    tunnel.script = addresses
    transport.renew()
    assert is_ended(transport)
    assert wire.answers(await waiting, QUESTION, exact=True)
    assert len(tunnel.targets) == 2
    await closed(tunnel, transport)
