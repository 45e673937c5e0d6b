import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import dns.edns
import dns.message
import pytest

from fakes.accepting import stop_accepting
from fakes.certificates import NAME, Authority, Certificate
from fakes.dns_tunnel import until
from fakes.encrypted_dns import Act, LoopbackTunnel, TlsDns
from sockslocal.address import Endpoint
from sockslocal.config.model import TlsConfig, Upstream
from sockslocal.resolver import ask_tls, wire
from sockslocal.resolver.ask_tls import TlsDial
from sockslocal.resolver.errors import FaultyError, LostError
from sockslocal.resolver.ways import TlsWay

QUESTION = b"\3www\7example\0\0\1\0\1"
MESSAGE = wire.encode_query(QUESTION, dnssec_ok=False, checking_disabled=False, edns=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who vouches for the servers."""
    return Authority(tmp_path_factory.mktemp("authority"))


@asynccontextmanager
async def asking(
    certificate: Certificate | None, ca: Path | None, name: str = NAME
) -> AsyncIterator[tuple[TlsWay, TlsDns]]:
    """An upstream which is checked like that."""
    async with TlsDns(certificate) as server:
        way = TlsWay(Upstream("tls", server.endpoint, TlsConfig(name, ca)), LoopbackTunnel())
        try:
            yield way, server
        finally:
            await way.close()


async def test_a_query_is_answered_and_padded(authority: Authority) -> None:
    """All on one connection; the length of a query tells nothing of its name (checklist 66)."""
    async with asking(authority.issue(), authority.ca) as (way, server):
        for _ in range(3):
            path, message, age = await way.ask(MESSAGE, QUESTION, 5.0)
            assert wire.answers(message, QUESTION, exact=True)
            assert (path, age) == ("tls", 0)
        assert {len(asked) for asked in server.asked} == {128}
        (option,) = dns.message.from_wire(server.asked[0]).options
        assert option.otype == dns.edns.OptionType.PADDING
        assert server.connections == 1


async def test_many_at_once_share_a_connection(authority: Authority) -> None:
    """Those too that ask while it is made."""
    async with asking(authority.issue(), authority.ca) as (way, server):
        await asyncio.gather(*(way.ask(MESSAGE, QUESTION, 5.0) for _ in range(50)))
        assert server.connections == 1
        assert len({asked[:2] for asked in server.asked}) == 50


async def test_a_session_is_resumed(authority: Authority) -> None:
    """When the server has closed; and who waits is asked for again on the new connection (checklist 61)."""
    async with asking(authority.issue(), authority.ca) as (way, server):
        await way.ask(MESSAGE, QUESTION, 5.0)
        server.acts.append(Act.CLOSE)
        await way.ask(MESSAGE, QUESTION, 5.0)
        assert (server.connections, server.resumed) == (2, 1)


async def test_by_address_alone(authority: Authority) -> None:
    """The certificate may be for an IP address."""
    async with asking(authority.issue(NAME, "127.0.0.1"), authority.ca, "127.0.0.1") as (way, _):
        assert (await way.ask(MESSAGE, QUESTION, 5.0)).path == "tls"


Wrong = Callable[[Authority, Path], tuple[Certificate | None, Path | None, str]]


@pytest.mark.parametrize(
    ("wrong", "reason", "remedy"),
    [
        (
            lambda authority, _: (authority.issue("other.test"), authority.ca, NAME),
            f"its certificate is not for {NAME}",
            "to the name that the certificate is for",
        ),
        (
            lambda authority, _: (authority.issue(days=-1), authority.ca, NAME),
            "its certificate has expired",
            "renewed",
        ),
        (
            lambda authority, _: (authority.issue(), None, NAME),
            "nobody whom this system trusts vouches for its certificate",
            "set ca in [dns]",
        ),
        (
            lambda authority, folder: (authority.issue(), Authority(folder).ca, NAME),
            "vouches for its certificate",
            "put the certificate of who does into",
        ),
        (
            lambda authority, folder: (authority.issue(), folder / "absent", NAME),
            "absent cannot be used: No such file or directory",
            "check ca in [dns]",
        ),
        (
            lambda authority, _: (None, authority.ca, NAME),
            "it says nothing to a TLS handshake",
            "whether the server speaks TLS there",
        ),
    ],
    ids=["wrong name", "expired", "unknown to the system", "unknown to ca", "no ca", "no TLS"],
)
async def test_a_server_that_is_not_who_it_should_be(
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    wrong: Wrong,
    reason: str,
    remedy: str,
) -> None:
    """Is told nothing at all, and why is said with what mends it (checklist 63)."""
    monkeypatch.setattr(ask_tls, "HANDSHAKE_S", 0.3)
    certificate, ca, name = wrong(authority, tmp_path)
    async with asking(certificate, ca, name) as (way, server):
        with pytest.raises(FaultyError) as error:
            await way.ask(MESSAGE, QUESTION, 5.0)
        assert server.asked == []
        assert str(error.value).startswith("no TLS: ")
        assert reason in str(error.value)
        assert remedy in error.value.remedy


async def test_after_a_fault_there_is_no_handshake_for_a_while(authority: Authority) -> None:
    """However many ask; then it is tried again."""
    tunnel = LoopbackTunnel()
    async with TlsDns(authority.issue("other.test")) as server:
        dial = TlsDial(tunnel, Upstream("tls", server.endpoint, TlsConfig(NAME, authority.ca)))
        for _ in range(5):
            with pytest.raises(FaultyError):
                await dial()
        assert len(tunnel.targets) == 1
        dial._held_until = 0.0
        with pytest.raises(FaultyError):
            await dial()
        assert len(tunnel.targets) == 2


async def test_a_connection_cut_in_the_handshake(authority: Authority) -> None:
    """Is a fault as well, and no reason to ask without TLS."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    endpoint = Endpoint(*server.sockets[0].getsockname())
    dial = TlsDial(LoopbackTunnel(), Upstream("tls", endpoint, TlsConfig(NAME, authority.ca)))
    with pytest.raises(FaultyError, match="it closed the connection"):
        await dial()
    await stop_accepting(server)
    server.close()


async def test_a_server_that_always_closes_is_given_up(authority: Authority) -> None:
    """After the second connection."""
    async with asking(authority.issue(), authority.ca) as (way, server):
        server.acts.extend([Act.CLOSE, Act.CLOSE])
        with pytest.raises(LostError):
            await way.ask(MESSAGE, QUESTION, 5.0)
        assert server.connections == 2


async def test_who_waits_enough_closes_what_was_begun(authority: Authority) -> None:
    """Cancelled in the midst of the handshake nothing stays open."""
    async with TlsDns(None) as server:
        dial = TlsDial(LoopbackTunnel(), Upstream("tls", server.endpoint, TlsConfig(NAME, authority.ca)))
        task = asyncio.create_task(dial())
        await until(lambda: server.connections == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: not server._handling)
