import ipaddress
import re
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sockslocal.address import (
    AddressError,
    Endpoint,
    ListenAddress,
    UnixPath,
    ip_of,
    is_loopback,
    normalise_host,
    parse_endpoint,
    parse_endpoints,
    parse_listen,
    spell,
    unmapped,
)

_T = TypeVar("_T")

LONG = ".".join(["a" * 63] * 3 + ["b" * 61])
"""A name of 253 octets."""


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("db.internal", "db.internal"),
        ("DB.Internal.", "db.internal"),
        ("_ldap._tcp.corp", "_ldap._tcp.corp"),
        ("a_b-c", "a_b-c"),
        ("3com", "3com"),
        ("0x7g", "0x7g"),
        ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
        ("München.de", "xn--mnchen-3ya.de"),
        ("straße.de", "xn--strae-oqa.de"),
        ("_sip.MÜLLER.de.", "_sip.xn--mller-kva.de"),
        ("例え。テスト。", "xn--r8jz45g.xn--zckzah"),
        ("\u212a.example", "k.example"),  # the Kelvin sign
        ("soft\u00adhyphen.de", "softhyphen.de"),
        (LONG, LONG),
        (f"{LONG}.", LONG),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::", "::"),
    ],
)
def test_hosts(text: str, host: str) -> None:
    """A host has one spelling: IP literals canonical, names in lower-case A-labels without final dot."""
    assert normalise_host(text) == host
    assert normalise_host(host) == host


_NEITHER = "is neither an IP address nor a host name"
_LIKE_AN_IP = "looks like an IP address but is not one"
_INTERNATIONAL = "is not a valid international name"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", _NEITHER),
        (".", _NEITHER),
        ("a..b", _NEITHER),
        (".a", _NEITHER),
        ("a b", _NEITHER),
        ("a\n", _NEITHER),
        ("-a", _NEITHER),
        ("a-", _NEITHER),
        ("a" * 64, _NEITHER),
        (f"c{LONG}", _NEITHER),
        ("a/b", _NEITHER),
        ("a*", _NEITHER),
        ("127.0.0.1.", _LIKE_AN_IP),
        ("127.0.0.01", _LIKE_AN_IP),
        ("256.0.0.1", _LIKE_AN_IP),
        ("127.1", _LIKE_AN_IP),
        ("2130706433", _LIKE_AN_IP),
        ("0x7f000001", _LIKE_AN_IP),
        ("127.0.0.0x1", _LIKE_AN_IP),
        ("0x", _LIKE_AN_IP),
        ("１２７.0.0.1", _LIKE_AN_IP),
        ("1:2", _NEITHER),
        (":::", _NEITHER),
        ("☃.net", _INTERNATIONAL),
        ("ä" * 60, _INTERNATIONAL),
        ("ä" * 300, _INTERNATIONAL),
        ("a\u200d.de", _INTERNATIONAL),
        ("\udcff", _INTERNATIONAL),
        ("ä..de", _NEITHER),
        ("fe80::1%eth0", "has a zone, which means nothing beyond this machine"),
        ("pw%@host", "has a zone, which means nothing beyond this machine"),
    ],
)
def test_no_hosts(text: str, what: str) -> None:
    """What is no host is told so; spellings of IPv4 addresses that only some programs know are none."""
    with pytest.raises(AddressError, match=what):
        normalise_host(text)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("db.internal:5432", Endpoint("db.internal", 5432)),
        ("192.0.2.1:80", Endpoint("192.0.2.1", 80)),
        ("[2001:DB8::1]:80", Endpoint("2001:db8::1", 80)),
        ("[::ffff:192.0.2.1]:80", Endpoint("192.0.2.1", 80)),
        ("a:1", Endpoint("a", 1)),
        ("a:65535", Endpoint("a", 65535)),
        ("a:00080", Endpoint("a", 80)),
    ],
)
def test_endpoints(text: str, endpoint: Endpoint) -> None:
    """A host and a port; IPv6 stands in brackets. Written out again it reads the same."""
    assert parse_endpoint(text) == endpoint
    assert parse_endpoint(str(endpoint)) == endpoint
    assert parse_endpoints(text) == (endpoint,)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("9.9.9.9", Endpoint("9.9.9.9", 53)),
        ("9.9.9.9:54", Endpoint("9.9.9.9", 54)),
        ("2620:fe::fe", Endpoint("2620:fe::fe", 53)),
        ("[2620:fe::fe]", Endpoint("2620:fe::fe", 53)),
        ("[2620:fe::fe]:54", Endpoint("2620:fe::fe", 54)),
        ("dns.internal", Endpoint("dns.internal", 53)),
        ("dns.internal:54", Endpoint("dns.internal", 54)),
    ],
)
def test_default_port(text: str, endpoint: Endpoint) -> None:
    """Where there is a default port, none needs to be written."""
    assert parse_endpoint(text, default_port=53) == endpoint


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", '"" should be a host and a port, like db.internal:5432'),
        ("db", '"db" should be a host and a port, like db.internal:5432'),
        (":80", '":80" should be a host and a port, like db.internal:5432'),
        ("socks5://a:1", '"socks5://a:1" is a URL; it should be a host and a port, like db.internal:5432'),
        ("::1:80", '"::1:80" has an IPv6 address that needs brackets, like [::1]:5432'),
        ("[::1]", '"[::1]" should be like [::1]:5432'),
        ("[::1]80", '"[::1]80" should be like [::1]:5432'),
        ("[::1:80", '"[::1:80" should be like [::1]:5432'),
        ("[a]:80", '"[a]:80" has brackets round what is not an IPv6 address'),
        ("[fe80::1%2]:80", '"fe80::1%2" has a zone'),
        ("a:", '"a:" has port ""; a port is a number from 1 to 65535'),
        ("a:0", '"a:0" has port "0"; a port is a number from 1 to 65535'),
        ("a:65536", '"a:65536" has port "65536"; a port is a number from 1 to 65535'),
        ("a:-1", '"a:-1" has port "-1"; a port is a number from 1 to 65535'),
        ("a:+1", '"a:+1" has port "+1"; a port is a number from 1 to 65535'),
        ("a:000080", '"a:000080" has port "000080"; a port is a number from 1 to 65535'),
        ("a:٣", '"a:٣" has port "٣"; a port is a number from 1 to 65535'),
        ("a:http", '"a:http" has port "http"; a port is a number from 1 to 65535'),
        ("a:1-2", '"a:1-2" has port "1-2"; a port is a number from 1 to 65535'),
    ],
)
def test_no_endpoints(text: str, what: str) -> None:
    """What is no endpoint is told with what would be one."""
    with pytest.raises(AddressError, match=f"^{re.escape(what)}"):
        parse_endpoint(text)


def test_no_brackets_round_names() -> None:
    """Brackets are for IPv6, with a default port too."""
    with pytest.raises(AddressError, match=_NEITHER):
        parse_endpoint("[dns.internal]", default_port=53)


def test_ranges() -> None:
    """A range has both its ends, and may have as many ports as are allowed."""
    assert parse_endpoints("A:6000-6002") == tuple(Endpoint("a", port) for port in (6000, 6001, 6002))
    assert parse_endpoints("[::1]:7-7") == (Endpoint("::1", 7),)
    assert len(parse_endpoints("a:1-1000")) == 1000


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a:2-1", "has a range that ends before it starts"),
        ("a:1-1001", "has a range of more than 1000 ports"),
        ("a:1-", 'has port ""'),
        ("a:-1", 'has port ""'),
        ("a:1-2-3", 'has port "2-3"'),
        ("a:0-1", 'has port "0"'),
        ("a:1-65536", 'has port "65536"'),
    ],
)
def test_no_ranges(text: str, what: str) -> None:
    """A range that is none is told why."""
    with pytest.raises(AddressError, match=what):
        parse_endpoints(text)


def test_listen() -> None:
    """To listen, one names an address of this machine, a range of its ports, or a Unix path."""
    assert parse_listen("127.0.0.1:80") == (Endpoint("127.0.0.1", 80),)
    assert parse_listen("[::]:80-81") == (Endpoint("::", 80), Endpoint("::", 81))
    assert parse_listen("LocalHost:80") == (Endpoint("127.0.0.1", 80),)
    assert parse_listen("unix:/run/my db.sock") == (UnixPath("/run/my db.sock"),)
    assert str(UnixPath("/run/my db.sock")) == "unix:/run/my db.sock"
    assert parse_listen(f"unix:/{'a' * 106}") == (UnixPath(f"/{'a' * 106}"),)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("db.internal:80", "should start with an address of this machine, like 127.0.0.1:5432"),
        ("localhost.internal:80", "should start with an address of this machine, like 127.0.0.1:5432"),
        ("*:80", _NEITHER),
        ("80", "should be a host and a port, like 127.0.0.1:5432"),
        ("tcp://127.0.0.1:80", "is a URL; it should be a host and a port, like 127.0.0.1:5432"),
        ("unix:", "should name an absolute path, like unix:/run/db.sock"),
        ("unix:db.sock", "should name an absolute path, like unix:/run/db.sock"),
        (f"unix:/{'a' * 107}", "is longer than the 107 bytes a socket path may have"),
        (f"unix:/{'ä' * 54}", "is longer than the 107 bytes a socket path may have"),
        ("unix:/a\0b", "has control characters"),
        ("unix:/a\udcff", "has control characters"),
    ],
)
def test_no_listen(text: str, what: str) -> None:
    """What cannot be listened on is told with what could."""
    with pytest.raises(AddressError, match=what):
        parse_listen(text)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.255.0.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("::2", False),
        ("localhost", False),
        ("127.0.0.1.nip.io", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:  # noqa: FBT001  a row of the table
    """Only what no other machine can reach is loopback."""
    assert is_loopback(host) is expected


def test_ip_of() -> None:
    """An IP literal is told from a name, and an IPv4 address in IPv6 clothes from an IPv6 address."""
    assert ip_of("192.0.2.1") == ipaddress.IPv4Address("192.0.2.1")
    assert ip_of("a9") is ip_of("a") is ip_of("") is None
    mapped = ip_of("::ffff:192.0.2.1")
    assert mapped is not None
    assert unmapped(mapped) == ipaddress.IPv4Address("192.0.2.1")
    assert unmapped(ipaddress.IPv6Address("::1")) == ipaddress.IPv6Address("::1")


@pytest.mark.parametrize("address", ["ana:p@ss/w:rd%\n@proxy:1080", "ana:pwrd@proxy", "prd@[::1", "prd%@a:1"])
def test_no_password_in_errors(address: str) -> None:
    """What somebody typed before an `@` may be a password, and is not shown."""
    for parse in (parse_endpoint, parse_endpoints, parse_listen, normalise_host):
        with pytest.raises(AddressError) as caught:
            parse(address)
        assert "rd" not in str(caught.value)


@given(st.text() | st.text("0123456789abcx.:[]%-_@/é\u3002\n", max_size=30))
@example("\u0130" * 300)
@example("xn--\u0661:1")
def test_any_text(text: str) -> None:
    """Whatever the text, it is an address or an AddressError, and an address is one in its own spelling."""
    for parse in (parse_endpoint, partial(parse_endpoint, default_port=53)):
        endpoint = _parsed(parse, text)
        if endpoint is not None:
            assert parse(str(endpoint)) == endpoint
            assert normalise_host(endpoint.host) == endpoint.host
            assert len(endpoint.host.encode("ascii")) <= 253
    addresses = _parsed(parse_listen, text)
    assert addresses is None or 1 <= len(addresses) <= 1000


def _parsed(parse: Callable[[str], _T], text: str) -> _T | None:
    """What `parse` makes of `text`; None where it says in one printable line why it is nothing."""
    try:
        return parse(text)
    except AddressError as error:
        refused = error
    assert str(refused).isprintable()
    return None


@given(st.ip_addresses(), st.integers(1, 65535))
def test_any_ip(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> None:
    """Every IP address is a host, and reads back as itself."""
    endpoint = Endpoint(normalise_host(str(address)), port)
    assert parse_endpoint(str(endpoint)) == endpoint
    assert ip_of(endpoint.host) == unmapped(address)


@pytest.mark.parametrize(
    ("addresses", "text"),
    [
        ([Endpoint("127.0.0.1", 5432)], "127.0.0.1:5432"),
        ([UnixPath("/run/db.sock")], "unix:/run/db.sock"),
        ([Endpoint("::1", port) for port in range(6000, 6011)], "[::1]:6000-6010"),
        ([Endpoint("a", 1), UnixPath("/b"), Endpoint("b", 2), Endpoint("b", 3)], "a:1, unix:/b, b:2-3"),
        ([Endpoint("a", 1), Endpoint("a", 3), Endpoint("b", 4)], "a:1, a:3, b:4"),
        ([Endpoint("a", 1)] * 3, "a:1"),
        ([Endpoint("a", port) for port in (1, 2, 1, 2)], "a:1-2"),
        ([Endpoint("a", port) for port in range(1, 100, 2)], "a:1, a:3, a:5 and 47 more"),
    ],
)
def test_spelling(addresses: list[ListenAddress], text: str) -> None:
    """Addresses are shown as they may be written, each once, and as many as somebody reads."""
    assert spell(addresses) == text
