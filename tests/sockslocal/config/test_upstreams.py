from pathlib import Path

import pytest

from fakes.config import PATH, SERVER, Complaint, complaint_about
from sockslocal.address import Endpoint
from sockslocal.config.load import parse
from sockslocal.config.model import TlsConfig, Upstream

_DNS = f'{SERVER}[dns]\nlisten = "127.0.0.1:5399"\n'
_REMEDY = (
    'write it like "udp://9.9.9.9", "tcp://9.9.9.9", "tls://9.9.9.9#dns.quad9.net" or '
    '"https://dns.quad9.net/dns-query"'
)
_QUAD9 = TlsConfig("dns.quad9.net")


@pytest.mark.parametrize(
    ("text", "upstream"),
    [
        ("udp://9.9.9.9", Upstream("udp", Endpoint("9.9.9.9", 53))),
        ("TCP://8.8.8.8:5353", Upstream("tcp", Endpoint("8.8.8.8", 5353))),
        ("tcp://[2620:fe::fe]:53", Upstream("tcp", Endpoint("2620:fe::fe", 53))),
        ("udp://[2620:FE::FE]", Upstream("udp", Endpoint("2620:fe::fe", 53))),
        ("udp://2620:fe::fe", Upstream("udp", Endpoint("2620:fe::fe", 53))),
        ("udp://Dns.Internal", Upstream("udp", Endpoint("dns.internal", 53))),
        ("tls://9.9.9.9#DNS.Quad9.net", Upstream("tls", Endpoint("9.9.9.9", 853), _QUAD9)),
        ("tls://9.9.9.9", Upstream("tls", Endpoint("9.9.9.9", 853), TlsConfig("9.9.9.9"))),
        ("tls://dns.quad9.net:8853", Upstream("tls", Endpoint("dns.quad9.net", 8853), _QUAD9)),
        ("tls://[2620:fe::fe]#dns.quad9.net", Upstream("tls", Endpoint("2620:fe::fe", 853), _QUAD9)),
        (
            "https://dns.quad9.net",
            Upstream("https", Endpoint("dns.quad9.net", 443), _QUAD9, "/dns-query"),
        ),
        (
            "https://Dns.Quad9.net:5053/dns-query{?dns}",
            Upstream("https", Endpoint("dns.quad9.net", 5053), _QUAD9, "/dns-query"),
        ),
        (
            "https://[2620:fe::fe]/a/b?c=d",
            Upstream("https", Endpoint("2620:fe::fe", 443), TlsConfig("2620:fe::fe"), "/a/b?c=d"),
        ),
    ],
)
def test_upstream(text: str, upstream: Upstream) -> None:
    """A scheme, a host, a port, which is the scheme's where none is written; and what goes with TLS."""
    dns = parse(f'{_DNS}upstreams = ["{text}"]', PATH).dns
    assert dns is not None
    assert dns.upstreams == (upstream,)
    assert parse(f'{_DNS}upstreams = ["{upstream}"]', PATH).dns == dns


def test_whom_to_trust() -> None:
    """`ca` is for all upstreams inside TLS."""
    text = 'ca = "/etc/ca.pem"\nupstreams = ["tls://9.9.9.9", "https://9.9.9.9", "udp://9.9.9.9"]'
    dns = parse(_DNS + text, PATH).dns
    assert dns is not None
    tls = TlsConfig("9.9.9.9", Path("/etc/ca.pem"))
    assert [upstream.tls for upstream in dns.upstreams] == [tls, tls, None]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("9.9.9.9", '"9.9.9.9" has no scheme; udp://, tcp://, tls://, https:// work'),
        ("quic://1.1.1.1", '"quic://1.1.1.1" is not supported; udp://, tcp://, tls://, https:// work'),
        ("h3://ana:hunter2@dns", '"h3://•••@dns" is not supported; udp://, tcp://, tls://, https:// work'),
        ("udp://", '"" is neither an IP address nor a host name'),
        ("udp://9.9.9.9:0", '"9.9.9.9:0" has port "0"; a port is a number from 1 to 65535'),
        ("udp://224.0.0.251", '"udp://224.0.0.251" is a multicast address'),
        ("udp://255.255.255.255", '"udp://255.255.255.255" is a broadcast address'),
        ("udp://9.9.9.9/", '"9.9.9.9/" is neither an IP address nor a host name'),
        ("udp://9.9.9.9#name", '"9.9.9.9#name" is neither an IP address nor a host name'),
        ("udp://ana@9.9.9.9", '"•••@9.9.9.9" is neither an IP address nor a host name'),
        ("tls://9.9.9.9#", '"" is neither an IP address nor a host name'),
        ("tls://0.0.0.0#name", '"tls://0.0.0.0#name" is no address of anybody\'s'),
        ("https://ana:hunter2@dns/q", '"https://•••@dns/q" has a user, and no upstream asks for one'),
        ("https://ana:hun/ter2@dns", '"https://•••@dns" has a user, and no upstream asks for one'),
        ("https://dns/q#a", '"https://dns/q#a" has no path of a URL'),
        ("https://dns/q\\r\\nHost: a", '"https://dns/q\\r\\nHost: a" has no path of a URL'),
    ],
)
def test_wrong_upstream(text: str, what: str) -> None:
    """An upstream that cannot be asked is told at its line of the list."""
    assert complaint_about(f'{_DNS}upstreams = [\n  "udp://9.9.9.9",\n  "{text}",\n]') == Complaint(
        7, f'"upstreams" of [dns]: {what}', _REMEDY
    )


def test_a_path_without_end() -> None:
    """As long as a URL would never be."""
    complaint = complaint_about(f'{_DNS}upstreams = "https://dns/{"a" * 300}"')
    assert complaint.text.endswith("has no path of a URL")
