import contextlib
import dataclasses
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from fakes.system_dns import UPLINKS, plain, with_resolved
from sockslocal.system_dns import backends, previous
from sockslocal.system_dns.journal import RESOLVED_DROP_IN
from sockslocal.system_dns.previous import Previous, find, look_up
from sockslocal.system_dns.store import Store
from sockslocal.system_dns.transaction import Transaction

ZONE = {
    "proxy.test. IN A": "192.0.2.1",
    "proxy.test. IN AAAA": "2001:db8::1",
    "short.lan.test. IN A": "192.0.2.2",
}


@contextlib.contextmanager
def name_server() -> Iterator[int]:
    """A DNS server on 127.0.0.1 that knows the zone; its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=_serve, args=(sock,))
        thread.start()
        try:
            yield sock.getsockname()[1]
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", sock.getsockname())
            thread.join()


def _serve(sock: socket.socket) -> None:
    while True:
        message, sender = sock.recvfrom(4096)
        if not message:
            return
        query = dns.message.from_wire(message)
        response = dns.message.make_response(query, recursion_available=True)
        question = query.question[0]
        address = ZONE.get(str(question))
        if address is not None:
            response.answer.append(dns.rrset.from_text(question.name, 60, "IN", question.rdtype, address))
        elif not any(name.startswith(str(question.name)) for name in ZONE):
            response.set_rcode(dns.rcode.NXDOMAIN)
        sock.sendto(response.to_wire(), sender)


def switched(root: Path) -> None:
    """Have the machine below `root` ask the resolver."""
    machine = with_resolved(root)
    Transaction(machine.system, backends.of(machine.system, "linux")).apply(5399, fail_open=True)


def test_as_long_as_nothing_is_switched_the_system_is_asked(tmp_path: Path) -> None:
    """None says so; also where the journal cannot be read."""
    assert find(tmp_path) is None
    path = Store(tmp_path).path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"?")
    assert find(tmp_path) is None


def test_a_machine_is_its_own_root() -> None:
    """The daemon asks without a folder; this machine asks no sockslocal while it is tested."""
    assert find() is None


def test_those_of_before_are_known_while_it_is_switched(tmp_path: Path) -> None:
    """With the domains that complete short names."""
    switched(tmp_path)
    assert find(tmp_path) == Previous(("192.0.2.8",), ("lan.test",))


def test_in_another_network_its_servers_go_first(tmp_path: Path) -> None:
    """systemd-resolved tells them; we are not among them, and the journal's are kept behind."""
    switched(tmp_path)
    (tmp_path / UPLINKS).write_text("nameserver 127.0.0.1\nnameserver 198.51.100.1\n")
    before = find(tmp_path)
    assert before is not None
    assert before.servers == ("198.51.100.1", "192.0.2.8")


def test_after_a_restart_of_the_machine_the_system_is_asked(tmp_path: Path) -> None:
    """The journal outlived what was below /run: its servers may be those of another network."""
    switched(tmp_path)
    (tmp_path / RESOLVED_DROP_IN).unlink()
    assert find(tmp_path) is None


def test_where_it_cannot_be_told_those_of_before_are_asked(tmp_path: Path) -> None:
    """They answer in any case."""
    switched(tmp_path)
    (tmp_path / RESOLVED_DROP_IN).unlink()
    os.mkfifo(tmp_path / RESOLVED_DROP_IN)
    assert find(tmp_path) == Previous(("192.0.2.8",), ("lan.test",))


def test_a_half_switched_machine_is_asked_as_a_switched_one(tmp_path: Path) -> None:
    """Nobody knows how far it came; the servers of before answer in any case."""
    machine = plain(tmp_path)
    journal = Transaction(machine.system, backends.of(machine.system, "linux")).apply(
        53, fail_open=True, last_resort=True
    )
    Store(tmp_path).write(dataclasses.replace(journal.journal, step="applying"))
    assert find(tmp_path) == Previous(("192.0.2.7",), ("office.test",))


def test_a_name_is_looked_up_at_the_servers_of_before(tmp_path: Path) -> None:
    """Both families; a short name is completed."""
    before = Previous(("127.0.0.1",), ("lan.test",))
    with name_server() as port:
        assert sorted(look_up(before, "proxy.test", 1080, root=tmp_path, dns_port=port)) == [
            (socket.AF_INET, ("192.0.2.1", 1080)),
            (socket.AF_INET6, ("2001:db8::1", 1080)),
        ]
        short = look_up(before, "short", 1080, root=tmp_path, dns_port=port)
        assert short == [(socket.AF_INET, ("192.0.2.2", 1080))]
        with pytest.raises(OSError, match="no such name"):
            look_up(before, "nobody.test", 1080, root=tmp_path, dns_port=port)


def test_the_hosts_file_goes_first(tmp_path: Path) -> None:
    """As it does where the system looks names up; nobody is asked."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hosts").write_text(
        "127.0.0.1 localhost\n192.0.2.3 a Proxy.test # b\n2001:db8::3 proxy.test\n"
    )
    assert look_up(Previous(()), "proxy.TEST", 1080, root=tmp_path) == [
        (socket.AF_INET, ("192.0.2.3", 1080)),
        (socket.AF_INET6, ("2001:db8::3", 1080)),
    ]
    for name in ("b", "192.0.2.3", "other.test"):
        with pytest.raises(OSError, match="not known"):
            look_up(Previous(()), name, 1080, root=tmp_path)


def test_silence_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In time."""
    monkeypatch.setattr(previous, "DEADLINE_S", 0.1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        with pytest.raises(OSError, match="do not tell"):
            look_up(Previous(("127.0.0.1",)), "proxy.test", 1080, root=tmp_path, dns_port=port)
