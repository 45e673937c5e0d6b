"""A machine that boots, whose names come from one of the ways that Linux has, with our helper installed."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from fakes.booted_machine import BootedMachine
from fakes.waiting import wait_until
from sockslocal.cli.privileged import HELPER, INSTALLED
from sockslocal.system_dns.journal import PATHS
from sockslocal.system_dns.store import path_of

LINUX = Path(__file__).parents[2] / "installer/linux"
BEFORE, OURS = "192.0.2.53", "192.0.2.55"
"""What every name's address is, by the name server of the network and by our resolver."""

STUB = "../run/systemd/resolve/stub-resolv.conf"
BY_HAND = f"search lan.test\nnameserver {BEFORE}\n"
TARGET = """\
[Unit]
Wants=basic.target network.service {services} sockslocal-dns-restore.service
After=basic.target network.service {services} sockslocal-dns-restore.service
"""
NETWORK = """\
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=ip address add 192.0.2.53/32 dev lo
ExecStart=ip address add 192.0.2.60/32 dev lo
ExecStart=ip link add uplink type veth peer name router
ExecStart=ip link set router up
"""
LINK = """\
[Unit]
After=network.service systemd-resolved.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=ip address add 198.51.100.2/24 dev uplink
ExecStart=ip link set uplink up
ExecStart=resolvectl dns uplink 192.0.2.53
ExecStart=resolvectl domain uplink lan.test
"""
CONNECTION = """\
[connection]
id=uplink
type=ethernet
interface-name=uplink
[ipv4]
method=manual
addresses=198.51.100.2/24
dns=192.0.2.53;
dns-search=lan.test;
[ipv6]
method=disabled
"""
NETWORK_MANAGER = (
    "[main]\nplugins=keyfile\nno-auto-default=*\n[device]\nmatch-device=interface-name:uplink\nmanaged=1\n"
)
NAME_SERVER = (sys.executable, "-m", "fakes.dns_program", "53", BEFORE, BEFORE)
CLAIM = "uplink claims names below lan.test"
SERVICES = {
    "systemd-resolved": "dbus.service systemd-resolved.service link.service",
    "both": "dbus.service systemd-resolved.service NetworkManager.service",
    "NetworkManager": "dbus.service NetworkManager.service",
    "resolv.conf": "",
}
"""What runs on each kind of machine."""


class Machine(BootedMachine):
    """One whose names come from `kind`, with our helper installed."""

    def __init__(self, folder: Path, kind: str) -> None:
        super().__init__(folder)
        self.kind = kind
        self.method = "systemd-resolved" if kind == "both" else kind
        self.warned = self.method == "systemd-resolved"

    def install(self) -> None:
        """Its files, before it boots."""
        units = "etc/systemd/system"
        self.write(f"{units}/machine.target", TARGET.format(services=SERVICES[self.kind]))
        self.write(f"{units}/network.service", NETWORK)
        self.write(f"{units}/link.service", LINK)
        self.write("etc/NetworkManager/NetworkManager.conf", NETWORK_MANAGER)
        self.write("etc/NetworkManager/system-connections/uplink.nmconnection", CONNECTION, 0o600)
        if self.method == "systemd-resolved":
            self.link("etc/resolv.conf", STUB)
        elif self.method == "NetworkManager":
            self.link("usr/sbin/resolvconf", "/nothing")  # as where systemd-resolved is not installed
            self.write("etc/tmpfiles.d/systemd-resolve.conf", "")
        else:
            self.write("etc/resolv.conf", BY_HAND)
        for name, path in (
            ("sockslocal-dns", str(INSTALLED).lstrip("/")),
            ("sockslocal-dns-restore.service", f"{units}/sockslocal-dns-restore.service"),
        ):
            source = LINUX / name
            self.write(path, source.read_text(), source.stat().st_mode & 0o777)
        self.write(f"{units}/sockslocal-dns-restore.service.d/test.conf", "[Service]\nProtectHome=no\n")
        python = f'#!/bin/sh\nshift 3\nexec {sys.executable} -I {HELPER} "$@"\n'
        self.write("opt/sockslocal/bin/python3", python, 0o755)

    def helper(self, *arguments: str) -> dict[str, Any]:
        """What the helper tells."""
        return dict(json.loads(self.run(str(INSTALLED), *arguments, check=False)))

    def apply(self, *words: str) -> dict[str, Any]:
        """Have it ask the resolver at port 5399."""
        last = ["resolv-conf"] if self.kind == "resolv.conf" else []
        return self.helper("apply", "5399", *last, *words)

    def finds(self) -> str:
        """The address of a name, by the C library and so by whatever the system does."""
        return self.run("getent", "ahostsv4", "some.example.", check=False).partition(" ")[0]

    def answers(self) -> bool:
        """Whether our resolver answers a question of its own kind."""
        return OURS in self.run(
            "dig", "+time=2", "+tries=1", "-p", "5399", "@127.0.0.1", "a.example", check=False
        )

    def picture(self) -> dict[str, str]:
        """What `restore` brings back: files, rules, and what the services know."""
        files = [*PATHS, str(path_of(Path("/")))[1:]]
        found = {
            path: self.run("sh", "-c", f"readlink /{path} || cat /{path}", check=False) for path in files
        }
        found["rules"] = self.run("nft", "list", "ruleset")
        if self.method == "systemd-resolved":
            found["servers"] = self.run("resolvectl", "dns") + self.run("resolvectl", "domain")
        return found

    def wait_for(self, address: str) -> None:
        """Programs find that address."""
        wait_until(lambda: self.finds() == address, seconds=20, what=f"names have the address {address}")


@contextlib.contextmanager
def booted(folder: Path, kind: str) -> Iterator[Machine]:
    """One of that kind."""
    with Machine(folder, kind) as made:
        made.install()
        made.boot()
        with made.running(*NAME_SERVER):
            made.wait_for(BEFORE)
            yield made


def resolver(machine: Machine) -> "AbstractContextManager[subprocess.Popen[str]]":
    """Our resolver, as far as the system sees it."""
    return machine.running(sys.executable, "-m", "fakes.dns_program", "5399")
