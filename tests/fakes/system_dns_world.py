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
FOREIGN_COMMENT = "somebody else's"
FOREIGN = f"""
table ip nat {{
    chain output {{
        type nat hook output priority -100; policy accept;
        ip daddr 203.0.113.1 udp dport 53 redirect to :1053 comment "{FOREIGN_COMMENT}"
    }}
}}
"""


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


def nft(*arguments: str, text: str = "") -> str:
    """Its output."""
    return subprocess.run(
        ["nft", *arguments], input=text, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


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


def redirect_and_restore(before: tuple[bytes, int]) -> None:
    """While there is a resolver at a port that resolv.conf cannot name, and a table of somebody else."""
    nft("-f", "-", text=FOREIGN)
    tables = nft("list", "ruleset")
    assert FOREIGN_COMMENT in tables
    assert helper("apply", "5399", "resolv-conf").get("applied") == "resolv.conf"
    assert finds("some.test")
    socket.create_connection(("127.0.0.1", 53), 5).close()  # large answers come by TCP
    assert helper("status")["status"] == "asks 127.0.0.1:5399, by resolv.conf"
    assert helper("apply", "5399", "resolv-conf").get("applied") == "resolv.conf"
    assert nft("list", "ruleset").count("redirect to :5399") == 2
    assert helper("restore") == {"restored": True, "left": []}
    assert (RESOLV_CONF.read_bytes(), RESOLV_CONF.lstat().st_mode) == before
    assert not finds("some.test")
    assert nft("list", "ruleset") == tables


def keep(port: str) -> None:
    """Have the system ask the resolver, and somebody watch it."""
    helper("apply", port, "resolv-conf")
    wait_until(lambda: state.look(System()).kept, seconds=20, what="there is a keeper")
    assert helper("status")["status"] == f"asks 127.0.0.1:{port}, by resolv.conf"


def wait_for_all_as(before: tuple[bytes, int]) -> None:
    """The keeper does its work."""
    wait_until(lambda: not state.look(System()).journal, seconds=30, what="all is restored")
    assert (RESOLV_CONF.read_bytes(), RESOLV_CONF.lstat().st_mode) == before


def main(case: str) -> None:
    """Switch, restore, switch again, and kill the resolver, or what leads to it."""
    assert Path("/etc/of-a-test").exists(), "this is the machine itself"
    before = RESOLV_CONF.read_bytes(), RESOLV_CONF.lstat().st_mode
    port = "5399" if case == "redirect" else "53"
    assert helper("apply", port, "resolv-conf")["error"] == f"nobody answers at 127.0.0.1:{port}"
    command = [sys.executable, "-m", "fakes.dns_program", port]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as resolver:
        try:
            assert resolver.stdout is not None
            assert resolver.stdout.readline() == f"{port}\n"
            if case == "redirect":
                redirect_and_restore(before)
                keep(port)
                nft("flush", "ruleset")
                wait_for_all_as(before)
            else:
                switch_and_restore(before)
            keep(port)
        finally:
            resolver.kill()
    wait_for_all_as(before)
    assert case != "redirect" or not nft("list", "ruleset")


if __name__ == "__main__":
    main(sys.argv[1])
