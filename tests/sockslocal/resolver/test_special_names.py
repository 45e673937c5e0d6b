import dns.message
import dns.rcode
import dns.reversename
import pytest

from fakes.dns_tunnel import query
from sockslocal.config.model import DnsPolicy
from sockslocal.resolver.answer import Answer
from sockslocal.resolver.rules import Rules
from sockslocal.resolver.special_names import special_names
from sockslocal.resolver.wire import NOERROR, NXDOMAIN, Query, parse_query

RULES = Rules(DnsPolicy())


def asked(name: str, rdtype: str = "A") -> Query:
    """A client's question."""
    return parse_query(query(name, rdtype).to_wire())


def answer(name: str, rdtype: str = "A") -> Answer | None:
    """What is said of it without asking anybody; None where others are asked."""
    treatment = RULES.of(asked(name).name)
    return treatment.answer(asked(name, rdtype)) if treatment is not None else None


def is_kept_here(name: str, rdtype: str = "PTR") -> bool:
    """Whether nobody else hears of a question for `name`."""
    return answer(name, rdtype) is not None


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "www.localhost", "a.b.localhost"])
def test_localhost_is_this_machine(name: str) -> None:
    """RFC 6761 §6.3 (checklist 74)."""
    question = asked(name, "AAAA")
    treatment = RULES.of(question.name)
    assert treatment is not None
    found = treatment.answer(question)
    assert found is not None
    message = dns.message.from_wire(found.reply(question, stream=False))
    assert [record.to_text() for record in message.answer[0]] == ["::1"]
    v4 = answer(name)
    assert v4 is not None
    assert v4.body.endswith(bytes((127, 0, 0, 1)))


@pytest.mark.parametrize("name", ["invalid", "test", "local", "onion", "alt"])
def test_names_that_are_not_in_the_dns_never_leave(name: str) -> None:
    """They and all beneath them do not exist, whatever the type (checklist 74)."""
    for question in (name, f"www.{name}", f"a.b.{name.upper()}"):
        for rdtype in ("A", "TXT", "DS", "SOA"):
            found = answer(question, rdtype)
            assert found is not None
            assert found.rcode == NXDOMAIN


@pytest.mark.parametrize(
    "name", ["example", "www.example.com", "internal", "notlocal", "local.example", "arpa"]
)
def test_other_names_are_asked_for(name: str) -> None:
    """`example` is for nobody's special treatment (RFC 6761 §6.5), and a part of a label is no label."""
    assert answer(name) is None


def test_home_arpa_stays_at_home() -> None:
    """RFC 8375: nobody hears of the names in it."""
    found = answer("printer.home.arpa")
    assert found is not None
    assert found.rcode == NXDOMAIN
    assert not is_kept_here("home.arpa", "DS")


def test_clients_do_not_hear_of_ways_round_the_resolver() -> None:
    """What asks for designated resolvers (RFC 9462 §4) is told that there are none."""
    found = answer("_dns.resolver.arpa", "SVCB")
    assert found is not None
    assert found.rcode == NXDOMAIN


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.1", "10.1.2.3", "127.0.0.2", "169.254.1.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
        *("192.0.2.1", "198.51.100.1", "203.0.113.1", "255.255.255.255", "100.64.0.1", "100.127.255.255"),
        *("::", "fd00::1", "fdff::1", "fe80::1", "fe90::1", "fea0::1", "febf::1", "2001:db8::1"),
    ],
)
def test_names_of_private_addresses_never_leave(address: str) -> None:
    """RFC 6303 §4 and RFC 7793 (checklist 74)."""
    name = dns.reversename.from_address(address).to_text(omit_final_dot=True)
    found = answer(name, "PTR")
    assert found is not None
    assert found.rcode in (NXDOMAIN, NOERROR)


@pytest.mark.parametrize(
    "address",
    [
        *("1.10.0.1", "11.0.0.1", "172.15.0.1", "172.32.0.1", "192.167.1.1", "100.63.0.1", "100.128.0.1"),
        *("255.255.255.254", "192.0.3.1", "::2", "fec0::1", "2001:db9::1", "2606:4700::1"),
    ],
)
def test_names_of_public_addresses_are_asked_for(address: str) -> None:
    """Their neighbours."""
    assert not is_kept_here(dns.reversename.from_address(address).to_text(omit_final_dot=True))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_loopback_address_has_its_name(address: str) -> None:
    """Programs look it up for their logs."""
    found = answer(dns.reversename.from_address(address).to_text(omit_final_dot=True), "PTR")
    assert found is not None
    assert found.body.endswith(b"\x09localhost\0")


def test_none_is_treated_twice() -> None:
    """Each name is there once, in lower case."""
    assert all(name == name.lower() for name in special_names())
    assert len(special_names()) == 1 + 5 + 2 + 9 + 16 + 64 + 6 + 1 + 2
