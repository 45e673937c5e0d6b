"""The answers through sockslocal are those that the name server gives directly, whatever is asked."""

import os
from collections.abc import Iterator

import dns.message
import pytest

from integration.conftest import skip_without
from integration.daemon import dns as dns_section
from integration.daemon import temporary_daemon
from integration.dns_questions import ask_all, summary, ttls
from integration.servers.process import free_port
from integration.servers.socks import PASSWORD, SocksServer
from integration.servers.unbound import Unbound
from integration.servers.zones import ORIGIN, SIGNED, Question, many_zone, questions, signed_zone

NAMES = int(os.environ.get("SOCKSLOCAL_TEST_NAMES", "200"))
"""Of each zone; of each name there are four questions."""

UPSTREAMS = ("udp", "tcp")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unbound]:
    """A name server with many names, half of them signed."""
    skip_without(*Unbound.programs)
    zones = {ORIGIN: many_zone(NAMES), SIGNED: signed_zone(NAMES)}
    with Unbound(tmp_path_factory.mktemp("many"), zones=zones) as server:
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


@pytest.mark.parametrize("scheme", UPSTREAMS)
def test_no_answer_differs(
    scheme: str, dante: SocksServer, many: Unbound, asked: list[Question], direct: Answers
) -> None:
    """In code, flags and records of all sections; no TTL is above the one that was given."""
    with temporary_daemon() as daemon:
        port = free_port()
        daemon.configure(
            daemon.server(dante.address, username=dante.username, password=PASSWORD),
            dns_section(port, many.upstream(scheme)),
        )
        daemon.start()
        for dnssec, expected in direct.items():
            for question, right, answer in zip(
                asked, expected, ask_all(port, asked, dnssec=dnssec), strict=True
            ):
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
