"""The answers through sockslocal are those that the name server gives directly, whatever is asked."""

import os
from collections.abc import Iterator

import dns.message
import pytest

from fakes.certificates import NAME, Authority
from integration.conftest import skip_without
from integration.daemon import dns as dns_section
from integration.daemon import temporary_daemon
from integration.dns_questions import ask_all, summary, ttls
from integration.servers.process import LOOPBACK, free_port
from integration.servers.socks import PASSWORD, SocksServer
from integration.servers.unbound import Unbound
from integration.servers.zones import ORIGIN, SIGNED, Question, many_zone, questions, signed_zone

NAMES = int(os.environ.get("SOCKSLOCAL_TEST_NAMES", "200"))
"""Of each zone; of each name there are four questions."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who vouches for the name server."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Unbound]:
    """A name server with many names, half of them signed."""
    skip_without(*Unbound.programs)
    zones = {ORIGIN: many_zone(NAMES), SIGNED: signed_zone(NAMES)}
    certificate = authority.issue(NAME, LOOPBACK)
    with Unbound(tmp_path_factory.mktemp("many"), zones, certificate=certificate) as server:
        yield server


@pytest.fixture(scope="module")
def asked() -> list[Question]:
    """What is asked, of both zones."""
    return [*questions(NAMES, ORIGIN), *questions(NAMES, SIGNED)]


Answers = dict[bool, list[dns.message.Message]]


@pytest.fixture(scope="module")
def direct(many: Unbound, asked: list[Question]) -> Answers:
    """What the name server says itself, without and with DNSSEC."""
    return {dnssec: ask_all(many.port, asked, dnssec=dnssec) for dnssec in (False, True)}


@pytest.fixture(params=("udp", "tcp", "tls", "https"))
def port(
    request: pytest.FixtureRequest, dante: SocksServer, many: Unbound, authority: Authority
) -> Iterator[int]:
    """Where a resolver listens that asks the name server in one of the ways."""
    with temporary_daemon() as daemon:
        port = free_port()
        daemon.configure(
            daemon.server(dante.address, username=dante.username, password=PASSWORD),
            dns_section(port, many.upstream(request.param), ca=str(authority.ca)),
        )
        daemon.start()
        yield port


@pytest.mark.parametrize("dnssec", [False, True])
def test_no_answer_differs(port: int, asked: list[Question], direct: Answers, *, dnssec: bool) -> None:
    """In code, flags and records of all sections; no TTL is above the one that was given."""
    answers = ask_all(port, asked, dnssec=dnssec)
    for question, right, answer in zip(asked, direct[dnssec], answers, strict=True):
        assert summary(answer) == summary(right), question
        assert all(ttl <= ttls(right)[owner] for owner, ttl in ttls(answer).items()), question


def test_the_questions_are_of_all_kinds(direct: Answers) -> None:
    """Otherwise the test above would show little."""
    codes = {summary(answer).rcode for answer in direct[False]}
    assert codes == {"NOERROR", "NXDOMAIN"}
    chains = [answer for answer in direct[False] if len(answer.answer) > 2]
    empty = [answer for answer in direct[False] if answer.rcode() == 0 and not answer.answer]
    signed = [answer for answer in direct[True] if any("RRSIG" in text for text in map(str, answer.answer))]
    assert min(len(chains), len(empty), len(signed)) > NAMES // 20
