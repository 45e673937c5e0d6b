import os
import socket
import sys
import threading
from pathlib import Path

import pytest

from sockslocal.system_dns import system
from sockslocal.system_dns.system import CommandError, Done, System, ask, boot, listeners, run


def test_commands_run_in_a_language_that_can_be_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both of their outputs come together; nothing else of the environment is theirs."""
    monkeypatch.setenv("CANARY", "1")
    script = "import os, sys; print(sys.stdin.read(), os.environ.get('LC_ALL'), 'CANARY' in os.environ)"
    assert run([sys.executable, "-c", script], "text") == Done(0, "text C False\n")
    assert run(["sh", "-c", "echo it failed >&2; exit 3"]) == Done(3, "it failed\n")


def test_a_command_that_is_not_there_has_failed() -> None:
    """As one that says so."""
    assert run(["no-such-command"]) == Done(127, "there is no no-such-command")


def test_a_command_that_hangs_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is killed."""
    monkeypatch.setattr(system, "COMMAND_S", 0.1)
    assert run(["sleep", "30"]).code == 126


def test_what_a_command_says_last_is_the_reason() -> None:
    """Or its exit status, where it says nothing."""
    machine = System(run=lambda command, _: Done(int(command[1]), command[2]))
    assert machine.command("x", "0", "fine\n") == "fine\n"
    with pytest.raises(CommandError, match=r"x 1 a\nb: b$"):
        machine.command("x", "1", "a\nb")
    with pytest.raises(CommandError, match="exit status 4"):
        machine.command("x", "4", "")
    assert (machine.succeeds("x", "0", ""), machine.succeeds("x", "1", "")) == (True, False)


def test_a_server_is_asked_by_a_datagram() -> None:
    """What comes back is the answer; silence is an error, and so is what is no answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def answer() -> None:
            for code in (b"\x80\x03", b"\x80\x02"):
                message, sender = server.recvfrom(512)
                server.sendto(message[:2] + code + message[4:], sender)

        thread = threading.Thread(target=answer)
        thread.start()
        port = server.getsockname()[1]
        assert System().looks_up("127.0.0.1", port, "ab.example.com")
        assert not System().looks_up("127.0.0.1", port, "ab.example.com")
        thread.join()
    with pytest.raises(OSError, match="refused"):
        ask("127.0.0.1", port, b"x")
    assert not System().looks_up("127.0.0.1", port, "ab.example.com")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_whose_a_port_is() -> None:
    """By the kernel's own table."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert listeners(server.getsockname()[1]) == {os.getuid()}


def test_without_a_table_nobody_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on other systems."""

    def missing(_: Path) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert listeners(53) == set()
    assert boot() == ""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_start_of_the_machine_has_a_name() -> None:
    """The same one until the next."""
    assert len(boot()) == 36
    assert boot() == boot()


def test_links_stay_below_the_root(tmp_path: Path) -> None:
    """Absolute and relative ones; those that go in a circle lead nowhere."""
    machine = System(root=tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "etc").mkdir()
    (tmp_path / "run/a").write_bytes(b"a")
    (tmp_path / "etc/absolute").symlink_to("/run/a")
    (tmp_path / "etc/relative").symlink_to("../run/a")
    (tmp_path / "etc/circle").symlink_to("circle")
    read = [machine.read(f"etc/{name}") for name in ("absolute", "relative", "circle", "nothing")]
    assert read == [b"a", b"a", b"", b""]


def test_a_folder_that_is_gone_is_no_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon may have been started in one."""
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert System().root == Path("/")
