"""No query is met with silence: RFC 8906's list, and more of its kind, asked by dig by UDP and by TCP."""

import subprocess
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from fakes.socks5_server import FakeServer
from integration.conftest import skip_without
from integration.daemon import dns, temporary_daemon
from integration.servers.process import LOOPBACK, free_port, which
from integration.servers.unbound import Unbound

NOERROR, FORMERR, NOTIMP, REFUSED, BADVERS = "NOERROR", "FORMERR", "NOTIMP", "REFUSED", "BADVERS"


class Reply(NamedTuple):
    """What dig was told; `text` is all that it says of it."""

    status: str
    flags: list[str]
    text: str

    @property
    def edns(self) -> str:
        """Version, flags and size of its OPT record; empty where it has none."""
        return next((line for line in self.text.splitlines() if line.startswith("; EDNS:")), "")


@pytest.fixture(scope="module")
def port(unbound: Unbound) -> Iterator[int]:
    """The port of a resolver with a zone behind it."""
    skip_without("dig")
    with FakeServer() as server, temporary_daemon() as daemon:
        port = free_port()
        upstreams = f"tcp://{unbound.address}"
        daemon.configure(daemon.server(f"{LOOPBACK}:{server.port}"), dns(port, upstreams))
        daemon.start()
        yield port


@pytest.fixture(params=["+notcp", "+tcp"])
def transport(request: pytest.FixtureRequest) -> str:
    """By UDP and by TCP."""
    return str(request.param)


def dig(port: int, *words: str) -> Reply:
    """The one reply to one query; fails where there is none, or dig finds it odd."""
    command = [
        which("dig"),
        "-r",
        f"@{LOOPBACK}",
        "-p",
        str(port),
        "+tries=1",
        "+time=8",
        "+nocookie",
        *words,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    assert "->>HEADER<<-" in text, text
    assert "bad packet" not in text, text
    assert "mismatch" not in text, text
    flags = text.partition(";; flags: ")[2].partition(";")[0].split()
    return Reply(text.partition("status: ")[2].partition(",")[0], flags, text)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["+noedns", "+noad", "example", "soa"], NOERROR),  # §8.1.1
        (["+noedns", "+noad", "example", "type1000"], NOERROR),  # §8.1.2
        (["+noedns", "+noad", "+cdflag", "example", "soa"], NOERROR),  # §8.1.3.1
        (["+noedns", "+adflag", "example", "soa"], NOERROR),  # §8.1.3.2
        (["+noedns", "+noad", "+zflag", "example", "soa"], NOERROR),  # §8.1.3.3
        (["+noedns", "+noad", "+aaflag", "+tcflag", "+raflag", "example", "soa"], NOERROR),
        (["+edns=0", "+noad", "example", "soa"], NOERROR),  # §8.2.1
        (["+edns=1", "+noednsneg", "+noad", "example", "soa"], BADVERS),  # §8.2.2
        (["+edns=255", "+noednsneg", "+noad", "example", "soa"], BADVERS),
        (["+edns=0", "+noad", "+ednsopt=100", "example", "soa"], NOERROR),  # §8.2.3
        (["+edns=0", "+noad", "+ednsopt=65001:" + "ab" * 400, "example", "soa"], NOERROR),
        (["+edns=0", "+noad", "+ednsflags=0x40", "example", "soa"], NOERROR),  # §8.2.4
        (["+edns=0", "+noad", "+ednsflags=0x7fff", "example", "soa"], NOERROR),
        (["+edns=1", "+noednsneg", "+noad", "+ednsflags=0x40", "example", "soa"], BADVERS),  # §8.2.5
        (["+edns=1", "+noednsneg", "+noad", "+ednsopt=100", "example", "soa"], BADVERS),  # §8.2.6
        (["+edns=0", "+noad", "+dnssec", "example", "soa"], NOERROR),  # §8.2.8
        (["+edns=1", "+noednsneg", "+noad", "+dnssec", "example", "soa"], BADVERS),  # §8.2.9
        (
            ["+edns=0", "+cookie", "+nsid", "+expire", "+subnet=0.0.0.0/0", "example", "soa"],
            NOERROR,
        ),
        (["+cookie=0123456789abcdef0123456789abcdef", "example", "soa"], NOERROR),
        (["+keepalive", "+padding=128", "example", "soa"], NOERROR),
        (["+bufsize=0", "example", "soa"], NOERROR),
        (["+bufsize=65535", "example", "soa"], NOERROR),
        (["+noedns", "+header-only"], FORMERR),
        (["+header-only"], FORMERR),
        (["+header-only", "+cookie"], FORMERR),
        (["example", "any"], NOERROR),
        (["example", "opt"], FORMERR),
        (["example", "tkey"], FORMERR),
        (["example", "tsig"], FORMERR),
        (["example", "maila"], REFUSED),
        (["example", "mailb"], REFUSED),
        (["example", "null"], NOERROR),
        (["example", "type65280"], NOERROR),
        (["example", "type65535"], NOERROR),
    ],
    ids=" ".join,
)
def test_flags_versions_options_and_types(port: int, transport: str, words: list[str], status: str) -> None:
    """Each has the answer that the RFC asks for; what is unknown is ignored and not sent back."""
    reply = dig(port, transport, *words)
    assert reply.status == status
    assert "qr" in reply.flags
    assert "aa" not in reply.flags
    assert "MBZ" not in reply.text.partition(";; ->>HEADER<<-")[2].partition("QUESTION")[0]
    assert bool(reply.edns) == ("+noedns" not in words)
    if reply.edns:
        assert "version: 0," in reply.edns
        assert "udp: 1232" in reply.edns


@pytest.mark.parametrize("kind", ["axfr", "ixfr=1"])
def test_a_transfer_is_refused(port: int, kind: str) -> None:
    """By TCP, as dig asks for it; it is told so at once."""
    command = [which("dig"), "-r", f"@{LOOPBACK}", "-p", str(port), "+tries=1", "+time=8", "example", kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert "Transfer failed" in done.stdout


@pytest.mark.parametrize("edns", ["+noedns", "+edns=0"])
@pytest.mark.parametrize("opcode", [1, 2, 3, 4, 5, 6, 9, 15])
def test_unknown_opcodes(port: int, transport: str, opcode: int, edns: str) -> None:
    """NOTIMP, with the opcode that was asked (§8.1.4)."""
    reply = dig(port, transport, "+noad", edns, f"+opcode={opcode}", "+header-only")
    assert (reply.status, "qr" in reply.flags) == (NOTIMP, True)
    whole = dig(port, transport, "+noad", edns, f"+opcode={opcode}", "example", "soa")
    assert (whole.status, "qr" in whole.flags) == (NOTIMP, True)


@pytest.mark.parametrize("rdclass", ["CH", "HS", "NONE", "ANY", "CLASS65280"])
def test_other_classes(port: int, transport: str, rdclass: str) -> None:
    """Whatever the upstream makes of them is told, or that it did not answer."""
    reply = dig(port, transport, "-c", rdclass, "-t", "TXT", "-q", "version.bind")
    assert reply.status in {NOERROR, "NXDOMAIN", "SERVFAIL", REFUSED, NOTIMP, FORMERR}


def test_without_recursion(port: int, transport: str) -> None:
    """What is not known is refused, what is known is told (RFC 1034 §4.3.1)."""
    name = f"unknown{transport[1:]}.example"
    assert dig(port, transport, "+norec", name, "a").status == REFUSED
    assert dig(port, transport, name, "a").status == "NXDOMAIN"
    known = dig(port, transport, "+norec", name, "a")
    assert (known.status, "rd" in known.flags) == ("NXDOMAIN", False)


def test_an_answer_too_large_is_truncated(port: int) -> None:
    """By UDP at the size that was asked for, with OPT (§8.2.7); by TCP it is whole."""
    for words in (["+noedns"], ["+dnssec", "+bufsize=512"], ["+bufsize=4096"]):
        reply = dig(port, "+notcp", "+ignore", *words, "big.example", "txt")
        assert (reply.status, "tc" in reply.flags) == (NOERROR, True)
        assert bool(reply.edns) == (words != ["+noedns"])
    assert "tc" not in dig(port, "+tcp", "big.example", "txt").flags


def test_queries_in_a_row_on_one_connection(port: int) -> None:
    """`+keepopen`: each is answered, those that are refused too."""
    words = ["+tcp", "+keepopen", "www.example", "a", "example", "type1000", "www.example", "aaaa"]
    command = [which("dig"), "-r", f"@{LOOPBACK}", "-p", str(port), "+tries=1", "+time=8", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.stdout.count("status: NOERROR") == 3, done.stdout


@pytest.mark.parametrize(
    "words", [[], ["+tcp", "+keepopen"], ["+dnssec", "+padding"], ["+bufsize=4096"], ["+nsid"]]
)
def test_kdig_is_content(port: int, words: list[str]) -> None:
    """Another client, with another idea of what is a right answer."""
    skip_without("kdig")
    names = ["www.example", "A", "absent.example", "A", "big.example", "TXT"]
    command = [which("kdig"), f"@{LOOPBACK}", "-p", str(port), "+retry=0", *words, *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    statuses = [line.partition("status: ")[2].partition(";")[0] for line in done.stdout.splitlines()]
    assert [status for status in statuses if status] == [NOERROR, "NXDOMAIN", NOERROR], done.stdout
    warnings = [line for line in (done.stdout + done.stderr).splitlines() if "WARNING" in line]
    assert all("truncated reply" in warning for warning in warnings), warnings
