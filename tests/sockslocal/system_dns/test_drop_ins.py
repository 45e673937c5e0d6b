import configparser

import pytest

from sockslocal.system_dns.drop_ins import asks_us, claims, network_manager, resolved, takes_ports
from sockslocal.system_dns.resolv_conf import ResolvConf


def test_systemd_resolved_is_told_the_port() -> None:
    """It takes back what other files say, and claims all names."""
    assert resolved(5399).decode().splitlines()[1:] == [
        *(
            "[Resolve]",
            "DNS=",
            "DNS=127.0.0.1:5399",
            "FallbackDNS=",
            "Domains=",
            "Domains=~.",
            "DNSOverTLS=no",
        )
    ]
    assert b"\nDNS=127.0.0.1\n" in resolved(53)  # older ones know no ports


def test_network_manager_is_told_one_server_for_all_names() -> None:
    """By its global DNS; what completes short names, which the connections told, stays."""
    before = ResolvConf("", (), ("lan.test", "b.test"), (b"options edns0 trust-ad", b"options ndots:2 a,b="))
    found = told(network_manager(before))
    assert found == {
        "global-dns": {"searches": "lan.test,b.test", "options": "edns0,trust-ad,ndots:2"},
        "global-dns-domain-*": {"servers": "127.0.0.1"},
    }
    assert told(network_manager(ResolvConf()))["global-dns"] == {}


def told(content: bytes) -> dict[str, dict[str, str]]:
    """What NetworkManager reads there."""
    parsed = configparser.ConfigParser()
    parsed.read_string(content.decode())
    return {name: dict(parsed[name]) for name in parsed.sections()}


@pytest.mark.parametrize(
    ("version", "takes"),
    [
        ("systemd 252 (252.22-1)\n+PAM", True),
        ("systemd 246", True),
        ("systemd 245 (245.4)", False),
        ("", False),
    ],
)
def test_older_versions_know_no_ports(version: str, takes: bool) -> None:  # noqa: FBT001  the table's column
    """By what `systemctl --version` prints."""
    assert takes_ports(version) is takes


def test_links_that_claim_names() -> None:
    """By a domain for searching or for routing, which is the same to systemd-resolved."""
    printed = "Global: ~.\nLink 2 (eth0): lan.test\nLink 3 (tun0): ~corp.test ~.\nLink 4 (wg0):\nrest\n"
    assert claims(printed) == (("eth0", "lan.test"), ("tun0", "corp.test"), ("tun0", "."))


@pytest.mark.parametrize(
    ("printed", "port", "asks"),
    [
        ("Global: 127.0.0.1:5399\nLink 2 (eth0): 192.0.2.1\n", 5399, True),
        ("Global: 127.0.0.1\n", 53, True),
        ("       Global: 127.0.0.1:5399\n", 5399, True),
        ("Global: 127.0.0.1:5399 9.9.9.9\n", 5399, False),
        ("Global:\n", 5399, False),
        ("Link 2 (eth0): 127.0.0.1:5399\n", 5399, False),
    ],
)
def test_whom_systemd_resolved_asks(printed: str, port: int, asks: bool) -> None:  # noqa: FBT001  as above
    """Us alone, by its global scope."""
    assert asks_us(printed, port) is asks
