import pytest

from fakes.config import FORWARD, PATH, SERVER, Complaint, complaint_about
from sockslocal.config.load import parse


def _forwards(*listens: str) -> str:
    """A file whose TCP forwards f0, f1... listen as given; each has three lines, from line 3 on."""
    tables = (f'[tcp.f{n}]\nlisten = {listen}\nto = "a:1"\n' for n, listen in enumerate(listens))
    return SERVER + "".join(tables)


def test_two_forwards_on_one_port() -> None:
    """The later forward is told which one has its port, where that stands, and a port that is free."""
    assert complaint_about(f'{FORWARD}[tcp.web]\nlisten = "127.0.0.1:5432"\nto = "a:1"') == Complaint(
        7,
        'forward "web" cannot listen on 127.0.0.1:5432: forward "db" (line 4) listens there',
        "sockslocal forward set web --listen 127.0.0.1:15432",
    )


@pytest.mark.parametrize(
    ("first", "second", "what", "remedy"),
    [
        ('"127.0.0.1:1-9"', '"127.0.0.1:9-10"', "127.0.0.1:9: {} listens there", "127.0.0.1:10009-10010"),
        (
            '"127.0.0.1:53"',
            '["127.0.0.1:52",\n"127.0.0.1:53"]',
            "127.0.0.1:53: {} listens there",
            'write "127.0.0.1:10053" there',
        ),
        ('"[::1]:80"', '"[0::1]:80"', "[::1]:80: {} listens there", "'[::1]:10080'"),
        ('"127.0.0.1:80"', '"0.0.0.0:80"', "0.0.0.0:80: {} listens there on 127.0.0.1:80", "0.0.0.0:10080"),
        ('"0.0.0.0:80"', '"127.0.0.1:80"', "127.0.0.1:80: {} listens there on 0.0.0.0:80", "127.0.0.1:10080"),
        ('"[::1]:80"', '"[::]:80"', "[::]:80: {} listens there on [::1]:80", "'[::]:10080'"),
        ('"[::]:80"', '"[::1]:80"', "[::1]:80: {} listens there on [::]:80", "'[::1]:10080'"),
        ('"127.0.0.1:60000"', '"127.0.0.1:60000"', "127.0.0.1:60000: {} listens there", "127.0.0.1:50000"),
        (
            '"127.0.0.1:80"',
            '["127.0.0.1:80", "[::1]:10080"]',
            "127.0.0.1:80: {} listens there",
            'write "127.0.0.1:20080" there',
        ),
        ('"unix:/a b"', '"unix:/a b"', "unix:/a b: {} listens there", "'unix:/a b.2'"),
    ],
)
def test_overlaps(first: str, second: str, what: str, remedy: str) -> None:
    """Ranges, lists, wildcards and other spellings of one address are seen through."""
    text = _forwards(first, second).replace('to = "a:1"', 'to = "a:1"\nallow_lan = true')
    complaint = complaint_about(text)
    told = what.format('forward "f0" (line 4)')
    assert complaint.text == f'forward "f1" cannot listen on {told}'
    assert complaint.line == (9 if "\n" in second else 8)
    assert complaint.remedy.removeprefix("sockslocal forward set f1 --listen ") == remedy


@pytest.mark.parametrize(
    "listen", ['["127.0.0.1:80", "localhost:80"]', '["127.0.0.1:80-82", "127.0.0.1:80"]']
)
def test_twice_in_one_forward(listen: str) -> None:
    """A forward that names an address twice is told so."""
    assert complaint_about(_forwards(listen)).text == 'forward "f0" listens twice on 127.0.0.1:80'


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_resolver_against_forwards(kind: str) -> None:
    """The resolver listens on UDP and TCP: a forward of either kind is in its way."""
    text = (
        f'{SERVER}[dns]\nlisten = "127.0.0.1:5353"\nupstreams = "udp://9.9.9.9"\n'
        f'[{kind}.r]\nlisten = "127.0.0.1:5300-5400"\nto = "a:1"\n'
    )
    assert complaint_about(text) == Complaint(
        4,
        '[dns] cannot listen on 127.0.0.1:5353: forward "r" (line 7) listens there',
        'write listen = "127.0.0.1:15353"',
    )


@pytest.mark.parametrize(
    "listens",
    [
        ['"127.0.0.1:80"', '"127.0.0.2:80"'],
        ['"127.0.0.1:80"', '"[::1]:80"'],
        ['"0.0.0.0:80"', '"[::]:80"'],
        ['"0.0.0.0:80"', '"[::1]:80"'],
        ['"unix:/a"', '"unix:/b"'],
    ],
)
def test_no_overlap(listens: list[str]) -> None:
    """Other addresses on one port are others; IPv6 sockets take no IPv4."""
    text = _forwards(*listens).replace('to = "a:1"', 'to = "a:1"\nallow_lan = true')
    assert len(parse(text, PATH).tcp) == 2


def test_tcp_and_udp_share_port_numbers() -> None:
    """A port of TCP is not the same one of UDP."""
    config = parse(f'{FORWARD}[udp.u]\nlisten = "127.0.0.1:5432"\nto = "a:1"', PATH)
    assert config.tcp["db"].listen == config.udp["u"].listen


def test_switched_off_by_the_file() -> None:
    """Of two forwards on one port, one may be kept for later."""
    config = parse(f'{FORWARD}[tcp.other]\nlisten = "127.0.0.1:5432"\nto = "a:1"\nenabled = false', PATH)
    assert [forward.enabled for forward in config.tcp.values()] == [True, False]


def test_no_free_port_to_propose() -> None:
    """Where no other range is free as far as this file goes, the remedy names none."""
    taken = ", ".join(f'"127.0.0.1:{5432 + shift}"' for shift in range(0, 40_000, 10_000))
    text = _forwards(f"[{taken}]", '"127.0.0.1:5432"')
    assert complaint_about(text).remedy == "sockslocal forward set f1 --listen 127.0.0.1:PORT"


def test_too_many() -> None:
    """No file makes the daemon open more descriptors than a process can have, nor takes long to say so."""
    ranges = (f'"127.0.0.{n}:1-1000"' for n in range(1, 250))
    complaint = complaint_about(_forwards(*ranges))
    assert complaint == Complaint(
        4 + 3 * 10,
        'with "listen" of forward "f10" there are more than 10000 ports to listen on',
        "use fewer or shorter ranges",
    )
