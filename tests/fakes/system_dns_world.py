"""What test_real_system.py does in namespaces of its own, whose /etc, /run and /var/lib are the test's."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from fakes.waiting import wait_until
from sockslocal.cli.privileged import HELPER
from sockslocal.system_dns import previous, state
from sockslocal.system_dns.system import System

RESOLV_CONF = Path("/etc/resolv.conf")


def helper(*arguments: str) -> dict[str, Any]:
    """What the helper tells, run as the command line runs it."""
    command = [sys.executable, "-I", str(HELPER), *arguments]
    return dict(json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout))


def finds(name: str) -> bool:
    """Whether the C library finds the address that our program answers with."""
    try:
        found = socket.getaddrinfo(name, 80, socket.AF_INET, socket.SOCK_STREAM)
    except socket.gaierror:
        return False
    return [address[0] for *_, address in found] == ["192.0.2.55"]


def switch_and_restore(before: tuple[bytes, int]) -> None:
    """While there is a resolver, which is asked at the end."""
    assert not finds("some.test")
    assert "remedy" in helper("apply", "53")
    assert helper("apply", "53", "resolv-conf").get("applied") == "resolv.conf"
    assert finds("some.test")
    assert previous.find() == previous.Previous(("192.0.2.7",), ("office.test",))
    assert helper("restore") == {"restored": True, "left": []}
    assert (RESOLV_CONF.read_bytes(), RESOLV_CONF.lstat().st_mode) == before
    assert not finds("some.test")
    helper("apply", "53", "resolv-conf")
    wait_until(lambda: state.look(System()).kept, seconds=20, what="there is a keeper")
    assert helper("status")["status"] == "asks 127.0.0.1:53, by resolv.conf"


def main() -> None:
    """Switch, restore, switch again, and kill the resolver."""
    assert Path("/etc/of-a-test").exists(), "this is the machine itself"
    before = RESOLV_CONF.read_bytes(), RESOLV_CONF.lstat().st_mode
    assert helper("apply", "53", "resolv-conf")["error"] == "nobody answers at 127.0.0.1:53"
    command = [sys.executable, "-m", "fakes.dns_program", "53"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as resolver:
        try:
            assert resolver.stdout is not None
            assert resolver.stdout.readline() == "53\n"
            switch_and_restore(before)
        finally:
            resolver.kill()
    wait_until(lambda: not state.look(System()).journal, seconds=30, what="all is restored")
    assert (RESOLV_CONF.read_bytes(), RESOLV_CONF.lstat().st_mode) == before


if __name__ == "__main__":
    main()
