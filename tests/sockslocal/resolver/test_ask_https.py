import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dns.edns
import dns.message
import pytest
from h2.settings import SettingCodes

from fakes.certificates import Authority
from fakes.dns_tunnel import until
from fakes.encrypted_dns import Act, HttpsDns, LoopbackTunnel
from sockslocal.address import Endpoint
from sockslocal.config.model import TlsConfig, Upstream
from sockslocal.resolver import http2, wire
from sockslocal.resolver.ask_https import headers_to
from sockslocal.resolver.digester import Digester
from sockslocal.resolver.errors import FAILURES, FaultyError, LostError, UnusableError
from sockslocal.resolver.upstream import Upstream as AskedUpstream
from sockslocal.resolver.ways import HttpsWay

QUESTION = b"\3www\7example\0\0\1\0\1"
MESSAGE = wire.encode_query(QUESTION, dnssec_ok=False, checking_disabled=False, edns=True)
CLIENT = b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + QUESTION


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who vouches for the servers."""
    return Authority(tmp_path_factory.mktemp("authority"))


def config(server: HttpsDns, authority: Authority) -> Upstream:
    """As it would be written."""
    return Upstream("https", server.endpoint, TlsConfig("127.0.0.1", authority.ca), "/dns-query")


@asynccontextmanager
async def asking(
    authority: Authority, *, protocol: str | None = "h2"
) -> AsyncIterator[tuple[HttpsWay, HttpsDns]]:
    """An upstream and how it is asked."""
    async with HttpsDns(authority.issue("127.0.0.1"), protocol=protocol) as server:
        way = HttpsWay(config(server, authority), LoopbackTunnel())
        try:
            yield way, server
        finally:
            await way.close()


async def ask(way: HttpsWay) -> bytes:
    """The answer's octets."""
    async with asyncio.timeout(5.0):
        return (await way.ask(MESSAGE, QUESTION, 5.0)).message


async def test_a_query_is_a_post_and_no_more(authority: Authority) -> None:
    """Id 0, padded, no header that could tell who asks (checklist 64, 66; RFC 8484 §4.1, §8.2)."""
    async with asking(authority) as (way, server):
        for _ in range(3):
            assert wire.answers(await ask(way), QUESTION, exact=True)
        assert server.connections == 1
        assert {asked[:2] for asked in server.asked} == {b"\0\0"}
        assert {len(asked) for asked in server.asked} == {128}
        assert server.requests[0] == {
            ":method": "POST",
            ":scheme": "https",
            ":authority": str(server.endpoint),
            ":path": "/dns-query",
            "accept": "application/dns-message",
            "content-type": "application/dns-message",
            "content-length": "128",
        }


@pytest.mark.parametrize(
    ("endpoint", "authority"),
    [
        (Endpoint("dns.example", 443), "dns.example"),
        (Endpoint("dns.example", 8443), "dns.example:8443"),
        (Endpoint("2001:db8::1", 443), "[2001:db8::1]"),
        (Endpoint("2001:db8::1", 8443), "[2001:db8::1]:8443"),
    ],
)
def test_the_authority_leaves_out_the_usual_port(endpoint: Endpoint, authority: str) -> None:
    """RFC 9110 §4.2.2."""
    headers = dict(headers_to(Upstream("https", endpoint, TlsConfig(endpoint.host), "/q")))
    assert headers[":authority"] == authority


async def test_many_at_once_are_streams_of_one_connection(authority: Authority) -> None:
    """As many at a time as the server bears; the others wait their turn."""
    async with asking(authority) as (way, server):
        server.settings = {SettingCodes.MAX_CONCURRENT_STREAMS: 3}
        await ask(way)
        answers = await asyncio.gather(*(ask(way) for _ in range(30)))
        assert all(wire.answers(answer, QUESTION, exact=True) for answer in answers)
        assert server.connections == 1


async def test_a_body_waits_for_room(authority: Authority) -> None:
    """A server may take no octet before it says so (RFC 9113 §6.9.2)."""
    async with asking(authority) as (way, server):
        server.settings = {SettingCodes.INITIAL_WINDOW_SIZE: 0}
        await ask(way)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask(way), 0.2)
        assert server.asked[1:] == []
        connection = way._https._connections._connections.current
        assert isinstance(connection, http2.Http2Connection)
        assert connection._unsent == {}


async def test_age_is_taken_off_the_ttls(authority: Authority) -> None:
    """What an HTTP cache kept is as old as it says (checklist 65)."""
    async with HttpsDns(authority.issue("127.0.0.1")) as server:
        upstream = AskedUpstream(config(server, authority), LoopbackTunnel(), Digester())
        for age, ttl in (("100", 200), ("1000", 0), ("soon", 300), ("-1", 300)):
            server.headers["age"] = age
            answer = await upstream.ask(wire.parse_query(CLIENT), 5.0)
            assert (answer.ttls[0][1], answer.lifetime, answer.path) == (ttl, ttl, "https")
        await upstream.close()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": 404}, "it answers with HTTP status 404"),
        ({"status": 302}, "it answers with HTTP status 302"),
        ({"status": 503}, "it answers with HTTP status 503"),
        ({"headers": {"content-type": "text/html"}}, "it answers with text/html, which is not"),
        ({"headers": {}}, "it answers with something, which is not application/dns-message"),
    ],
)
async def test_what_is_no_dns_is_told(authority: Authority, change: dict[str, object], reason: str) -> None:
    """With where to look; the connection is kept (checklist 64)."""
    async with asking(authority) as (way, server):
        vars(server).update(change)
        for _ in range(2):
            with pytest.raises(FaultyError) as error:
                await ask(way)
            assert reason in str(error.value)
            assert error.value.remedy == f"check the path of https://{server.endpoint}/dns-query in [dns]"
        assert server.connections == 1


async def test_media_types_are_compared_as_http_does(authority: Authority) -> None:
    """Without their parameters, in any letter case (RFC 9110 §8.3.1)."""
    async with asking(authority) as (way, server):
        server.headers = {"content-type": "Application/DNS-Message; charset=binary"}
        assert await ask(way)


@pytest.mark.parametrize("body", [b"", b"x" * 100, CLIENT, b"\0" * 65_536, b"\0" * 200_000])
async def test_a_body_that_answers_something_else(authority: Authority, body: bytes) -> None:
    """Too long, too short, or none at all; the next query is answered all the same."""
    async with asking(authority) as (way, server):
        server.body = body
        with pytest.raises(UnusableError):
            await ask(way)
        server.body = None
        assert await ask(way)
        assert server.connections == 1


@pytest.mark.parametrize("act", [Act.GOAWAY, Act.RESET, Act.CLOSE])
async def test_a_refused_query_is_asked_again_on_a_new_connection(authority: Authority, act: Act) -> None:
    """Once: where that is refused as well, the upstream has failed (RFC 9113 §6.8, §8.7)."""
    async with asking(authority) as (way, server):
        await ask(way)
        server.acts.append(act)
        assert wire.answers(await ask(way), QUESTION, exact=True)
        assert (server.connections, len(server.asked)) == (2, 3)
        assert server.resumed == 1
        server.acts.extend([act, act])
        with pytest.raises(LostError):
            await ask(way)
        assert await ask(way)


async def test_all_that_are_outstanding_are_asked_again_together(authority: Authority) -> None:
    """On one new connection, each once (checklist 61)."""
    async with asking(authority) as (way, server):
        server.acts.extend([*[Act.SILENCE] * 20, Act.GOAWAY])
        answers = await asyncio.gather(*(ask(way) for _ in range(21)))
        assert all(wire.answers(answer, QUESTION, exact=True) for answer in answers)
        assert (server.connections, len(server.asked)) == (2, 42)


async def test_who_goes_away_answers_what_it_has_begun(authority: Authority) -> None:
    """Only what it said that it would not process is asked again (RFC 9113 §6.8)."""
    async with asking(authority) as (way, server):
        server.acts.append(Act.HOLD)
        first = asyncio.create_task(ask(way))
        await until(lambda: len(server.asked) == 1)
        server.acts.append(Act.LAST)
        for asked in (ask(way), first):
            assert wire.answers(await asked, QUESTION, exact=True)
        assert (server.connections, len(server.asked)) == (2, 3)
        await until(lambda: len(server._handling) == 1)
        assert await ask(way)
        assert server.connections == 2


async def test_a_reset_ends_nobody_elses_wait(authority: Authority) -> None:
    """The connection takes no more queries, and goes when all on it are answered."""
    async with asking(authority) as (way, server):
        server.acts.append(Act.SILENCE)
        waiting = asyncio.create_task(ask(way))
        await until(lambda: len(server.asked) == 1)
        server.acts.append(Act.RESET)
        assert await ask(way)
        assert server.connections == 2
        assert not waiting.done()
        assert len(way._https._connections._connections._earlier) == 1
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await until(lambda: len(server._handling) == 1)


async def test_a_query_that_nobody_waits_for_is_cancelled(authority: Authority) -> None:
    """So that it takes no room on the connection (RFC 9113 §5.4.2)."""
    async with asking(authority) as (way, server):
        server.acts.append(Act.SILENCE)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask(way), 0.1)
        assert await ask(way)
        connection = way._https._connections._connections.current
        assert isinstance(connection, http2.Http2Connection)
        assert (connection._incoming, connection._http.open_outbound_streams) == ({}, 0)
        assert server.connections == 1


async def test_a_server_without_http2_is_told(authority: Authority) -> None:
    """Nothing is asked by another version."""
    async with asking(authority, protocol="http/1.1") as (way, server):
        with pytest.raises(FaultyError, match="no TLS: it speaks no HTTP/2"):
            await ask(way)
        assert server.asked == []


async def test_headers_without_end_are_not_kept(authority: Authority) -> None:
    """The library refuses them (RFC 9113 §10.5.1)."""
    async with asking(authority) as (way, server):
        await ask(way)
        server.headers["x"] = "y" * 60_000
        server.headers["z"] = "y" * 60_000
        with pytest.raises(FAILURES):
            await ask(way)


async def test_octets_that_are_no_http2(authority: Authority) -> None:
    """As from something else that says it would speak it."""

    class Nonsense(HttpsDns):
        async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 100)
            await reader.read()

    async with Nonsense(authority.issue("127.0.0.1")) as server:
        way = HttpsWay(config(server, authority), LoopbackTunnel())
        with pytest.raises(LostError, match="no HTTP/2"):
            await ask(way)
        await way.close()


async def test_the_message_is_one_that_dns_libraries_read(authority: Authority) -> None:
    """With the padding in its OPT record."""
    async with asking(authority) as (way, server):
        await ask(way)
        (option,) = dns.message.from_wire(server.asked[0]).options
        assert option.otype == dns.edns.OptionType.PADDING
