"""Port 53 of 127.0.0.1, which the kernel leads to the resolver's port, for what can ask no other (Linux).

A table of our own in nftables: a restart of the machine forgets it, and no other table is ever touched.
"""

import os

from sockslocal.system_dns import questions
from sockslocal.system_dns.backend import RefusedError
from sockslocal.system_dns.system import System

TABLE = "sockslocal_dns"

_WITHOUT = f"add table ip {TABLE}\ndelete table ip {TABLE}\n"
"""`delete` alone fails where there is none."""

_WITH = """\
table ip {table} {{
    chain output {{
        type nat hook output priority -100; policy accept;
        ip daddr 127.0.0.1 tcp dport 53 redirect to :{port}
        ip daddr 127.0.0.1 udp dport 53 redirect to :{port}
    }}
}}
"""


def check(system: System, asks: str) -> None:
    """Whether it can be made for what `asks`, and is in nobody's way. Raises RefusedError."""
    if not system.succeeds("nft", "--version"):
        reason = f"{asks} can ask port 53 only, and without nftables nothing leads from there to the resolver"
        raise RefusedError(reason, "install nftables")
    if system.listeners(53):
        reason = f"{asks} can ask port 53 only, and another program listens on 127.0.0.1:53"
        raise RefusedError(reason, "to see which: sudo ss -lnp sport = :53")


def make(system: System, port: int) -> None:
    """Lead there; once more changes nothing. Raises OSError."""
    system.command("nft", "-f", "-", text=_WITHOUT + _WITH.format(table=TABLE, port=port))


def remove(system: System) -> bool:
    """Lead nowhere; whether it was there. Raises OSError."""
    if not system.succeeds("nft", "list", "table", "ip", TABLE):
        return False
    system.command("nft", "-f", "-", text=_WITHOUT)
    return True


def leads(system: System) -> bool:
    """Whether somebody answers there. Everybody may ask that; only root is told what nftables holds."""
    number = int.from_bytes(os.urandom(2))
    try:
        answer = system.ask("127.0.0.1", 53, questions.heartbeat(number))
    except OSError:
        return False
    return questions.answers(answer, number) is not None
