import asyncio
from collections import Counter
from contextlib import suppress

import dns.edns
import dns.message
import dns.rcode
import pytest

from fakes.dns_tunnel import REFUSAL, FakeTunnel, addresses, query, response, silence, until
from fakes.loops import QuickLoop
from sockslocal.address import Endpoint
from sockslocal.errors import ServerError
from sockslocal.resolver import ask_udp, channel, wire
from sockslocal.resolver.ask_udp import MAX_MISMATCHES, DatagramTransport
from sockslocal.resolver.errors import ForgeryError, LostError, UnusableError

pytestmark = pytest.mark.usefixtures("quick_loop")

SERVER = Endpoint("192.0.2.53", 53)
QUESTION = b"\3www\7example\0\0\1\0\1"
MESSAGE = wire.encode_query(QUESTION, dnssec_ok=False, checking_disabled=False, edns=True)


def asking(transport: DatagramTransport) -> asyncio.Task[bytes]:
    """Someone who waits for the answer."""
    return asyncio.create_task(transport.ask(MESSAGE, QUESTION))


async def test_a_query_is_answered() -> None:
    """By the server that was meant, with what was asked, in a message of our own size."""
    tunnel = FakeTunnel()
    transport = DatagramTransport(tunnel, SERVER)
    answer = await transport.ask(MESSAGE, QUESTION)
    assert answer == tunnel.flows[0].sent[0][:2] + addresses(tunnel.asked[0][1])[0][2:]
    assert tunnel.targets == [SERVER]
    assert (tunnel.asked[0][1].edns, tunnel.asked[0][1].payload) == (0, 1232)
    transport.close()
    assert tunnel.flows[0].closed


async def test_one_flow_carries_all_queries_and_answers_come_in_any_order() -> None:
    """They are told apart by their ids."""
    tunnel = FakeTunnel(silence)
    transport = DatagramTransport(tunnel, SERVER)
    tasks = [asking(transport) for _ in range(50)]
    await until(lambda: len(tunnel.asked) == 50)
    (flow,) = tunnel.flows
    for sent in reversed(flow.sent):
        flow.deliver(sent[:2] + b"\x81" + sent[3:])
    answers = await asyncio.gather(*tasks)
    assert [answer[:2] for answer in answers] == [sent[:2] for sent in flow.sent]
    transport.close()


async def test_ids_are_spread_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chi-square over 256 buckets of 10,000 ids (checklist 68): above 400 once in ten million runs."""
    monkeypatch.setattr(ask_udp, "RENEW_QUERIES", 10_001)
    tunnel = FakeTunnel(silence)
    transport = DatagramTransport(tunnel, SERVER)
    tunnel.answers = lambda payload, path: []  # type: ignore[method-assign]
    tasks = [asking(transport) for _ in range(10_000)]
    await until(lambda: bool(tunnel.flows) and len(tunnel.flows[0].sent) == 10_000)
    numbers = [int.from_bytes(sent[:2], "big") for sent in tunnel.flows[0].sent]
    assert len(set(numbers)) == 10_000
    for buckets in (
        Counter(number >> 8 for number in numbers),
        Counter(number & 255 for number in numbers),
    ):
        expected = 10_000 / 256
        assert sum((buckets[key] - expected) ** 2 / expected for key in range(256)) < 400
    transport.close()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_letter_case_differs_from_query_to_query() -> None:
    """And is not the client's (0x20)."""
    tunnel = FakeTunnel()
    transport = DatagramTransport(tunnel, SERVER)
    for _ in range(20):
        await transport.ask(MESSAGE, QUESTION)
    questions = {sent[12 : 12 + len(QUESTION)] for sent in tunnel.flows[0].sent}
    assert len(questions) > 1
    assert {question.lower() for question in questions} == {QUESTION}
    transport.close()


async def test_forged_answers_are_counted_and_end_nobodys_wait() -> None:
    """Wrong id, wrong question, other case, a query: the true one still arrives (checklist 67, 70)."""
    tunnel = FakeTunnel(silence)
    transport = DatagramTransport(tunnel, SERVER)
    task = asking(transport)
    await until(lambda: bool(tunnel.flows) and bool(tunnel.flows[0].sent))
    (flow,) = tunnel.flows
    (sent,) = flow.sent
    true = sent[:2] + b"\x81" + sent[3:]
    flow.deliver(bytes((sent[0] ^ 1,)) + true[1:])
    flow.deliver(true.replace(sent[12:25], b"\3xxx\7example\0"))
    flow.deliver(true.replace(sent[12:25], sent[12:25].swapcase()))
    flow.deliver(sent)
    flow.deliver(b"")
    flow.deliver(true[:11])
    await asyncio.sleep(0)
    assert (task.done(), transport.mismatches) == (False, 6)
    flow.deliver(true)
    assert await task == true
    transport.close()


async def test_many_forged_answers_end_the_flow() -> None:
    """Whoever guesses gets few guesses; the count goes on over flows."""
    tunnel = FakeTunnel(silence)
    transport = DatagramTransport(tunnel, SERVER)
    for flows in (1, 2):
        task = asking(transport)
        await until(lambda: len(tunnel.flows) == flows and bool(tunnel.flows[-1].sent))  # noqa: B023 (at once)
        flow = tunnel.flows[-1]
        guess = int.from_bytes(flow.sent[0][:2], "big") ^ 1
        for _ in range(2 * MAX_MISMATCHES):
            flow.deliver(guess.to_bytes(2, "big") + b"\x81" + flow.sent[0][3:])
        with pytest.raises(ForgeryError):
            await task
        assert flow.closed
        assert transport.mismatches == flows * MAX_MISMATCHES


async def test_an_unanswered_query_is_sent_three_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same octets each time, and no more often (checklist 41)."""
    monkeypatch.setattr(ask_udp, "RESEND_AFTER_S", (0.001, 0.002))

    tunnel = FakeTunnel(silence)
    transport = DatagramTransport(tunnel, SERVER)
    task = asking(transport)
    await until(lambda: len(tunnel.asked) == 3)
    (flow,) = tunnel.flows
    assert len(set(flow.sent)) == 1
    flow.deliver(flow.sent[0][:2] + b"\x81" + flow.sent[0][3:])
    await task
    transport.close()


async def test_what_comes_late_is_no_forgery() -> None:
    """The second answer to a query sent twice, or one after nobody waits, is not held against anyone."""
    tunnel = FakeTunnel(lambda asked, path: addresses(asked) * 3)
    transport = DatagramTransport(tunnel, SERVER)
    await transport.ask(MESSAGE, QUESTION)
    await asyncio.sleep(0)
    assert transport.mismatches == 0
    transport.close()


async def test_a_lost_flow_is_replaced_once() -> None:
    """The query goes out again; when the new flow is lost too, that is the outcome."""
    tunnel = FakeTunnel(silence)
    transport = DatagramTransport(tunnel, SERVER)
    task = asking(transport)
    for flows in (1, 2):
        await until(lambda: len(tunnel.flows) == flows and bool(tunnel.flows[-1].sent))  # noqa: B023 (at once)
        tunnel.flows[-1].lost(REFUSAL)
    with pytest.raises(LostError, match="connection refused"):
        await task


async def test_a_flow_lost_while_idle_is_replaced_by_the_next_query() -> None:
    """As when the server has restarted."""
    tunnel = FakeTunnel()
    transport = DatagramTransport(tunnel, SERVER)
    await transport.ask(MESSAGE, QUESTION)
    tunnel.flows[0].lost(REFUSAL)
    tunnel.flows[0].lost(REFUSAL)
    await transport.ask(MESSAGE, QUESTION)
    assert len(tunnel.flows) == 2
    transport.close()


async def test_a_silent_flow_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing came back while a query waited in vain: the next one gets a new flow, and so a new port."""
    monkeypatch.setattr(channel, "FAIR_S", 0.0)

    tunnel = FakeTunnel(silence)
    transport = DatagramTransport(tunnel, SERVER)
    with suppress(TimeoutError):
        await asyncio.wait_for(transport.ask(MESSAGE, QUESTION), 0.01)
    assert tunnel.flows[0].closed
    tunnel.script = addresses
    await transport.ask(MESSAGE, QUESTION)
    assert len(tunnel.flows) == 2
    transport.close()


async def test_a_flow_that_answers_others_is_kept(
    quick_loop: QuickLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it was that one question."""
    monkeypatch.setattr(channel, "FAIR_S", 0.0)

    tunnel = FakeTunnel(silence)
    transport = DatagramTransport(tunnel, SERVER)
    waiting = asking(transport)
    await until(lambda: bool(tunnel.asked))
    quick_loop.advance(0.001)
    tunnel.script = addresses
    await transport.ask(MESSAGE, QUESTION)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not tunnel.flows[0].closed
    transport.close()


async def test_without_a_way_through_there_is_no_flow() -> None:
    """The reason goes up; nothing is remembered of the attempt."""
    tunnel = FakeTunnel()
    tunnel.refusal = REFUSAL
    transport = DatagramTransport(tunnel, SERVER)
    with pytest.raises(ServerError):
        await transport.ask(MESSAGE, QUESTION)
    tunnel.refusal = None
    await transport.ask(MESSAGE, QUESTION)
    transport.close()


async def test_a_query_that_cannot_be_sent_is_not_waited_for() -> None:
    """The error goes up, and nothing stays behind of it."""

    class Broken(FakeTunnel):
        def answers(self, payload: bytes, path: str) -> list[bytes]:
            raise RuntimeError("a bug")

    transport = DatagramTransport(Broken(), SERVER)
    with pytest.raises(RuntimeError):
        await transport.ask(MESSAGE, QUESTION)
    flow = transport._flows.current
    assert flow is not None
    assert not flow._waiting
    transport.close()


async def test_after_closing_nothing_is_opened() -> None:
    """Who waited is told, and is not asked for again."""
    tunnel = FakeTunnel(silence)
    transport = DatagramTransport(tunnel, SERVER)
    task = asking(transport)
    await until(lambda: bool(tunnel.asked))
    transport.close()
    with pytest.raises(LostError):
        await task
    assert len(tunnel.flows) == 1


async def test_a_flow_lost_while_it_is_opened() -> None:
    """Some find out at once that there is no UDP."""

    class Hasty(FakeTunnel):
        def open_flow(self, remote, received, lost):  # type: ignore[no-untyped-def]
            flow = super().open_flow(remote, received, lost)
            lost(REFUSAL)
            return flow

    with pytest.raises(LostError):
        await DatagramTransport(Hasty(), SERVER).ask(MESSAGE, QUESTION)


async def test_an_answer_to_another_question_under_the_same_id_is_refused() -> None:
    """Even from the right server, as after its own mistake."""
    tunnel = FakeTunnel(lambda asked, path: [response(query("other.example")), *addresses(asked)])
    transport = DatagramTransport(tunnel, SERVER)
    answer = await transport.ask(MESSAGE, QUESTION)
    assert wire.answers(answer, QUESTION, exact=False)
    assert transport.mismatches == 1
    transport.close()


async def test_another_flow_takes_over_after_a_while(
    quick_loop: QuickLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a port is of no use to who has found it; what still waits on the old one is answered there."""
    monkeypatch.setattr(ask_udp, "RENEW_QUERIES", 3)
    tunnel = FakeTunnel()
    transport = DatagramTransport(tunnel, SERVER)
    for _ in range(12):
        await transport.ask(MESSAGE, QUESTION)
    assert 2 <= len(tunnel.flows) <= 4
    assert [flow.closed for flow in tunnel.flows] == [True] * (len(tunnel.flows) - 1) + [False]
    tunnel.script = silence
    waiting = asking(transport)
    await until(lambda: len(tunnel.asked) == 13)
    quick_loop.advance(2 * ask_udp.RENEW_S)
    tunnel.script = addresses
    old = tunnel.flows[-1]
    await transport.ask(MESSAGE, QUESTION)
    assert tunnel.flows[-1] is not old
    assert not old.closed
    old.deliver(old.sent[-1][:2] + b"\x81" + old.sent[-1][3:])
    assert (await waiting)[:2] == old.sent[-1][:2]
    assert old.closed
    transport.close()


async def test_each_flow_has_a_cookie_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """And repeats the one that the server gave it (RFC 7873 §5.1, RFC 9018 §3)."""
    monkeypatch.setattr(ask_udp, "RENEW_QUERIES", 3)

    def script(asked: dns.message.Message, _path: str) -> list[bytes]:
        return [baked(asked, b"a server's own")]

    tunnel = FakeTunnel(script)
    transport = DatagramTransport(tunnel, SERVER)
    for _ in range(12):
        await transport.ask(MESSAGE, QUESTION)
    cookies = [cookie_of(asked) for _, asked in tunnel.asked]
    clients = [cookie.client for cookie in cookies]
    assert len(set(clients)) == len(tunnel.flows) > 1
    assert [cookie.server == b"" for cookie in cookies] == [
        client not in clients[:index] for index, client in enumerate(clients)
    ]
    transport.close()


async def test_an_answer_without_our_cookie_is_not_believed() -> None:
    """Whatever else of it was guessed (checklist 67)."""
    tunnel = FakeTunnel(lambda asked, _: [baked(asked, b"a server's own")])
    transport = DatagramTransport(tunnel, SERVER)
    await transport.ask(MESSAGE, QUESTION)
    tunnel.script = silence
    task = asking(transport)
    await until(lambda: len(tunnel.asked) == 2)
    flow, sent = tunnel.flows[0], tunnel.flows[0].sent[-1]
    asked = dns.message.from_wire(sent)
    flow.deliver(addresses(asked)[0])
    asked.use_edns(0, options=[dns.edns.CookieOption(b"87654321", b"a server's own")])
    flow.deliver(baked(asked, b"a server's own"))
    await until(lambda: transport.mismatches == 2)
    assert not task.done()
    true = baked(dns.message.from_wire(sent), b"a server's own")
    flow.deliver(true)
    assert await task == true
    transport.close()


@pytest.mark.parametrize("always", [False, True])
async def test_a_bad_cookie_is_put_right_once(*, always: bool) -> None:
    """With the one that comes with it (RFC 7873 §5.3); who is never content is asked otherwise."""

    def script(asked: dns.message.Message, _path: str) -> list[bytes]:
        content = cookie_of(asked).server == b"a new one" and not always
        return [baked(asked, b"a new one", rcode=0 if content else 23)]

    tunnel = FakeTunnel(script)
    transport = DatagramTransport(tunnel, SERVER)
    if always:
        with pytest.raises(UnusableError):
            await transport.ask(MESSAGE, QUESTION)
    else:
        assert wire.rcode(await transport.ask(MESSAGE, QUESTION)) == wire.NOERROR
    assert len(tunnel.asked) == 2
    transport.close()


def cookie_of(asked: dns.message.Message) -> dns.edns.CookieOption:
    """The one in a query of ours."""
    (option,) = asked.options
    assert isinstance(option, dns.edns.CookieOption)
    return option


def baked(asked: dns.message.Message, server: bytes, *, rcode: int = 0) -> bytes:
    """The answer of a server that knows cookies."""
    message = dns.message.from_wire(addresses(asked)[0])
    message.use_edns(0, options=[dns.edns.CookieOption(cookie_of(asked).client, server)])
    message.set_rcode(dns.rcode.Rcode(rcode))
    return message.to_wire()


async def test_after_a_renewal_another_flow_is_used() -> None:
    """What waits on the old one is asked again on the new one."""
    tunnel = FakeTunnel(silence)
    transport = DatagramTransport(tunnel, SERVER)
    transport.renew()
    waiting = asyncio.create_task(transport.ask(MESSAGE, QUESTION))
    await until(lambda: len(tunnel.asked) == 1)
    tunnel.script = addresses
    transport.renew()
    assert tunnel.flows[0].closed
    assert wire.answers(await waiting, QUESTION, exact=False)
    assert len(tunnel.flows) == 2
    transport.close()
