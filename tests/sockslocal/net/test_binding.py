import errno
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from fakes.descriptors import open_descriptors
from fakes.sockets import closing
from sockslocal.address import Endpoint, UnixPath
from sockslocal.errors import ListenError
from sockslocal.net import binding
from sockslocal.net.binding import bind_all, bind_datagram, bind_stream
from sockslocal.net.keepalive import LOCAL_IDLE_S

ANY = Endpoint("127.0.0.1", 0)
NOBODY = 65_534


@pytest.fixture(autouse=True)
def _no_holder_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has just begun."""
    monkeypatch.setattr(binding, "_holders", {})


Bind = Callable[..., socket.socket]


@pytest.fixture
def held() -> Iterator[ExitStack]:
    """Sockets that are closed at the end of the test."""
    with ExitStack() as stack:
        yield stack


def endpoint(sock: socket.socket) -> Endpoint:
    """Where `sock` is bound."""
    host, port = sock.getsockname()[:2]
    return Endpoint(host, port)


def refused(bind: Bind, address: object, kind: str = "tcp", name: str = "db") -> ListenError:
    """The error of binding `address`; nothing is left open."""
    before = open_descriptors()
    with pytest.raises(ListenError) as caught:
        bind(address, kind, name)
    assert open_descriptors() == before
    return caught.value


# --- what is bound


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_stream(held: ExitStack, host: str) -> None:
    """A listening socket, non-blocking; what it accepts does not delay small messages, and is kept alive."""
    sock = held.enter_context(bind_stream(Endpoint(host, 0), "tcp", "db"))
    assert not sock.getblocking()
    client = held.enter_context(socket.create_connection(sock.getsockname()[:2]))
    accepted, _ = sock.accept()
    held.enter_context(accepted)
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == LOCAL_IDLE_S
    client.send(b"ab", socket.MSG_OOB)
    assert accepted.recv(10) + accepted.recv(10) == b"ab", "urgent octets stay in the stream"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_datagram(held: ExitStack, host: str) -> None:
    """A UDP socket, non-blocking, with more room than usual."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        usual = plain.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    sock = held.enter_context(bind_datagram(Endpoint(host, 0), "udp", "game"))
    assert not sock.getblocking()
    assert sock.type == socket.SOCK_DGRAM
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >= usual


@pytest.mark.parametrize("bind", [bind_stream, bind_datagram])
def test_both_families_on_one_port(held: ExitStack, bind: Bind) -> None:
    """`::` is IPv6 alone: `0.0.0.0` may have the same port."""
    four = held.enter_context(bind(Endpoint("0.0.0.0", 0), "tcp", "db"))
    held.enter_context(bind(Endpoint("::", endpoint(four).port), "tcp", "db"))


def test_a_port_that_was_just_used(held: ExitStack) -> None:
    """Connections of before, which linger in TIME_WAIT, do not keep a port from being bound again."""
    with bind_stream(ANY, "tcp", "db") as sock:
        address = endpoint(sock)
        with socket.create_connection(address) as client:
            accepted, _ = sock.accept()
            accepted.close()
            client.recv(1)
    held.enter_context(bind_stream(address, "tcp", "db"))


def test_all(held: ExitStack) -> None:
    """A range is bound whole, in order."""
    with bind_stream(ANY, "tcp", "db") as probe:
        free = endpoint(probe)
    sockets = bind_all(bind_stream, [free, ANY, Endpoint("::1", 0)], "tcp", "db")
    with closing(*sockets):
        assert endpoint(sockets[0]) == free
        assert [sock.family for sock in sockets] == [socket.AF_INET, socket.AF_INET, socket.AF_INET6]


def test_all_or_none(held: ExitStack) -> None:
    """Of a range in which one port is in use none is bound."""
    taken = endpoint(held.enter_context(bind_stream(ANY, "tcp", "other")))
    before = open_descriptors()
    with pytest.raises(ListenError):
        bind_all(bind_stream, [ANY, ANY, taken, ANY], "tcp", "db")
    assert open_descriptors() == before


# --- what is in the way

ME = f"{psutil.Process().name()} (pid {os.getpid()})"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize(("bind", "kind"), [(bind_stream, "tcp"), (bind_datagram, "udp")])
def test_port_in_use(held: ExitStack, bind: Bind, kind: str, host: str) -> None:
    """The error names forward, address and process; the remedy is a free port that looks alike."""
    taken = endpoint(held.enter_context(bind(Endpoint(host, 0), kind, "other")))
    error = refused(bind, taken, kind)
    assert error.problem.code == "port-in-use"
    assert error.problem.text == f'forward "db" cannot listen on {taken}: the port is in use by {ME}'
    start, _, elsewhere = error.problem.remedy.rpartition(" ")
    assert start == "sockslocal forward set db --listen"
    assert elsewhere != str(taken)
    assert elsewhere.startswith(str(taken).rpartition(":")[0])
    held.enter_context(bind(Endpoint(host, int(elsewhere.rpartition(":")[2])), kind, "db"))


@pytest.mark.parametrize("bind", [bind_stream, bind_datagram])
def test_port_of_the_resolver_in_use(held: ExitStack, bind: Bind) -> None:
    """The resolver listens on both protocols: the holder is looked for where the port is in use."""
    taken = endpoint(held.enter_context(bind(ANY, "dns", "dns")))
    error = refused(bind, taken, "dns", "dns")
    assert error.problem.text == f'resolver "dns" cannot listen on {taken}: the port is in use by {ME}'
    assert error.problem.remedy.startswith('set listen = "127.0.0.1:')
    assert error.problem.remedy.endswith('" in [dns]')


def test_port_in_use_on_all_addresses(held: ExitStack) -> None:
    """A program on the wildcard holds the port of each address, and each address holds the wildcard's."""
    wildcard = endpoint(held.enter_context(bind_stream(Endpoint("0.0.0.0", 0), "tcp", "other")))
    assert ME in refused(bind_stream, Endpoint("127.0.0.1", wildcard.port)).problem.text
    single = endpoint(held.enter_context(bind_stream(ANY, "tcp", "other")))
    assert ME in refused(bind_stream, Endpoint("0.0.0.0", single.port)).problem.text


def test_port_in_use_by_a_dual_stack_program(held: ExitStack) -> None:
    """A program on `::` that speaks IPv4 too is found."""
    dual = held.enter_context(socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True))
    assert ME in refused(bind_stream, Endpoint("127.0.0.1", endpoint(dual).port)).problem.text


LISTEN = """
import socket, sys
with socket.create_server((sys.argv[1], int(sys.argv[2]))) as sock:
    print(sock.getsockname()[1], flush=True)
    sys.stdin.read()
"""


def test_the_holder_is_the_one_on_this_address(held: ExitStack) -> None:
    """Who holds the same port of another address is not accused."""
    ours = endpoint(held.enter_context(bind_stream(ANY, "tcp", "other")))
    with subprocess.Popen(
        [sys.executable, "-c", LISTEN, "127.0.0.2", str(ours.port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        assert program.stdout.readline()
        theirs = f"(pid {program.pid})"
        assert ME in refused(bind_stream, ours).problem.text
        assert theirs in refused(bind_stream, Endpoint("127.0.0.2", ours.port)).problem.text
        program.stdin.close()


def test_a_holder_that_cannot_be_told(held: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the process may not be known, the error says what is known."""
    taken = endpoint(held.enter_context(bind_stream(ANY, "tcp", "other")))

    def denied(_kind: str) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", denied)
    assert refused(bind_stream, taken).problem.text.endswith("the port is in use by another program")


def test_the_holder_is_looked_for_once(held: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the port stays in use it is tried again and again, and each search takes long."""
    searches: list[Endpoint] = []
    holder = os.getpid(), "postgres (pid 812)"

    def find(address: Endpoint, _type: socket.SocketKind) -> tuple[int, str]:
        searches.append(address)
        return holder

    monkeypatch.setattr(binding, "_find_holder", find)
    monkeypatch.setattr(binding, "MAX_HOLDERS", 2)
    sock = held.enter_context(bind_stream(ANY, "tcp", "other"))
    taken = endpoint(sock)
    for _ in range(3):
        assert "postgres (pid 812)" in refused(bind_stream, taken).problem.text
    assert searches == [taken]
    sock.close()
    held.enter_context(bind_stream(taken, "tcp", "other"))
    holder = 1 << 22, "nginx (pid 4194304)"  # beyond what the kernel gives out: it has ended
    for _ in range(2):
        assert "nginx" in refused(bind_stream, taken).problem.text
    assert len(searches) == 3
    for _ in range(3):
        refused(bind_stream, endpoint(held.enter_context(bind_stream(ANY, "tcp", "other"))))
        assert len(binding._holders) <= 2


def test_no_free_port_to_suggest(held: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be bound, the remedy is the address itself."""
    taken = endpoint(held.enter_context(bind_stream(ANY, "tcp", "other")))

    def no_socket(*_arguments: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket, "socket", no_socket)
    assert binding._free_port_near(taken, socket.SOCK_STREAM) == taken.port


def test_a_high_port_in_use(held: ExitStack) -> None:
    """Near the end of the range of ports another one is suggested that exists."""
    for port in range(65_535, 65_000, -1):
        try:
            taken = held.enter_context(bind_stream(Endpoint("127.0.0.1", port), "tcp", "other"))
        except ListenError:
            continue
        elsewhere = refused(bind_stream, endpoint(taken)).problem.remedy.rpartition(":")[2]
        assert 0 < int(elsewhere) < 65_536
        return


def test_not_our_address() -> None:
    """An address that this machine does not have."""
    error = refused(bind_stream, Endpoint("192.0.2.1", 8080))
    assert error.problem.code == "listen-failed"
    assert error.problem.text.endswith("cannot listen on 192.0.2.1:8080: cannot assign requested address")


def test_no_descriptor_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no descriptor for a socket, that is what the error says."""
    make = socket.socket

    def no_socket(*_arguments: object) -> None:
        monkeypatch.setattr(socket, "socket", make)
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket, "socket", no_socket)
    assert refused(bind_stream, ANY).problem.text.endswith(": too many open files")


def denying(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every bind fail for want of a privilege."""

    def deny(_sock: socket.socket, _address: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    class Denied(socket.socket):
        bind = deny

    monkeypatch.setattr(socket, "socket", Denied)
    monkeypatch.setattr(binding._UnixSocket, "bind", deny)


def test_privileged_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port below 1024 needs a privilege; the remedy is one that does not."""
    denying(monkeypatch)
    error = refused(bind_stream, Endpoint("127.0.0.1", 80))
    assert error.problem.code == "listen-denied"
    assert 'forward "db" cannot listen on 127.0.0.1:80' in error.problem.text
    assert "sockslocal forward set db --listen 127.0.0.1:" in error.problem.remedy


def test_denied_for_another_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """A high port that may not be bound is not explained by low ones."""
    denying(monkeypatch)
    assert refused(bind_stream, Endpoint("127.0.0.1", 8080)).problem.text.endswith(": permission denied")


# --- Unix sockets


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a Unix socket may be."""
    return tmp_path / "db.sock"


def unix(path: Path) -> UnixPath:
    """As the configuration has it."""
    return UnixPath(str(path))


def test_unix_socket(held: ExitStack, path: Path) -> None:
    """It listens, non-blocking, and nobody but its user may connect to it."""
    umask = os.umask(0o022)
    try:
        sock = held.enter_context(bind_stream(unix(path), "tcp", "db"))
        assert os.umask(0o022) == 0o022, "the umask is as it was"
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not sock.getblocking()
    client = held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    client.connect(str(path))
    held.enter_context(sock.accept()[0])


def test_unix_socket_goes_with_its_listener(path: Path) -> None:
    """Nothing is left for other programs to fail at."""
    sock = bind_stream(unix(path), "tcp", "db")
    assert path.is_socket()
    sock.close()
    assert not path.exists()
    sock.close()


def test_a_file_that_took_its_place_stays(held: ExitStack, path: Path) -> None:
    """The path may be another program's by the time the listener is closed, or have gone."""
    first = bind_stream(unix(path), "tcp", "db")
    path.rename(path.with_name("old.sock"))
    held.enter_context(bind_stream(unix(path), "tcp", "db"))
    first.close()
    assert path.is_socket()
    gone = bind_stream(unix(path.with_name("gone.sock")), "tcp", "db")
    path.with_name("gone.sock").unlink()
    gone.close()
    assert gone.fileno() == -1


def test_stale_unix_socket(held: ExitStack, path: Path) -> None:
    """What a program that has ended left behind is replaced."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stale:
        stale.bind(str(path))
    assert path.is_socket()
    held.enter_context(bind_stream(unix(path), "tcp", "db"))
    client = held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    client.connect(str(path))


def test_live_unix_socket(held: ExitStack, path: Path) -> None:
    """A socket on which a program listens is left to it."""
    held.enter_context(bind_stream(unix(path), "tcp", "other"))
    inode = path.stat().st_ino
    error = refused(bind_stream, unix(path))
    assert error.problem.text == f'forward "db" cannot listen on unix:{path}: another program listens there'
    assert error.problem.remedy == f"remove {path}, or choose another path"
    assert path.stat().st_ino == inode


def test_live_unix_socket_with_a_full_backlog(held: ExitStack, path: Path) -> None:
    """The same where it accepts no more: nobody waits for it."""
    sock = held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    sock.bind(str(path))
    sock.listen(0)
    for _ in range(3):
        client = held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        client.setblocking(False)
        client.connect_ex(str(path))
    assert "another program listens there" in refused(bind_stream, unix(path)).problem.text


@pytest.mark.parametrize("kind", ["file", "folder", "symlink", "broken symlink", "fifo"])
def test_something_else_is_there(path: Path, kind: str) -> None:
    """A file of any other kind is never removed."""
    target = path.with_name("target")
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(target)
    if kind == "symlink":
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stale:
            stale.bind(str(target))
    before = path.lstat()
    error = refused(bind_stream, unix(path))
    assert error.problem.text.endswith("a file is in the way")
    assert path.lstat() == before
    assert target.exists() == (kind == "symlink")


def test_a_datagram_socket_is_there(held: ExitStack, path: Path) -> None:
    """Nor is a socket of another type."""
    sock = held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    sock.bind(str(path))
    refused(bind_stream, unix(path))
    assert path.is_socket()


def test_no_such_folder(path: Path) -> None:
    """A folder that does not exist is not made."""
    missing = path.parent / "missing" / "db.sock"
    assert refused(bind_stream, unix(missing)).problem.text.endswith(": no such file or directory")


def test_a_folder_without_permission(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that may not be written to has nothing to do with ports."""
    denying(monkeypatch)
    error = refused(bind_stream, unix(path))
    assert error.problem.code == "listen-failed"
    assert error.problem.text.endswith(": permission denied")


def test_no_unix_sockets_on_windows(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Where Python has none, the remedy is a port."""
    monkeypatch.setattr(sys, "platform", "win32")
    error = refused(bind_stream, unix(path))
    assert "Python has no Unix sockets on Windows" in error.problem.text
    assert error.problem.remedy == "sockslocal forward set db --listen 127.0.0.1:PORT"


def test_nobody_else_takes_the_port_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """There a port is bound exclusively, or other programs could take it too."""
    options: list[tuple[int, int, int]] = []

    class Noted(socket.socket):
        def setsockopt(self, *arguments: int) -> None:  # type: ignore[override]
            options.append(arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", -5, raising=False)
    monkeypatch.setattr(socket, "socket", Noted)
    bind_stream(ANY, "tcp", "db").close()
    assert (socket.SOL_SOCKET, -5, 1) in options
    assert (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1) not in options
