"""All that a program sends by itself, as strace sees it, in each of its threads and children."""

import re
import subprocess
from pathlib import Path

import pytest

from integration.conftest import skip_without
from integration.servers.process import which

Address = tuple[str, int]

_CALLS = ("connect", "sendto", "sendmsg", "sendmmsg")

_CONNECT = re.compile(r"\bconnect\(")
_IP = re.compile(
    r"sin6?_port=htons\((?P<port>\d+)\).*?(?:inet_addr\(|inet_pton\(AF_INET6, )\"(?P<host>[^\"]+)\""
)
_UNIX = re.compile(r"sun_path=@?\"(?P<path>[^\"]*)\"")


class Trace:
    """The calls by which anything leaves; a program is started by `prefix`, and read when it has ended."""

    def __init__(self, folder: Path) -> None:
        skip_without("strace")
        if reason := _why_not():
            pytest.skip(f"strace may not look: {reason}")
        self._path = folder / "trace"
        self.prefix = [which("strace"), "-D", "-f", "-qq", "-s", "0", "-e", "abbrev=none"]
        self.prefix += ["-e", f"trace={','.join(_CALLS)}", "-o", str(self._path)]

    @property
    def connected(self) -> set[Address]:
        """Where it has connected sockets to, or tried to."""
        return {address for line in self._lines() if _CONNECT.search(line) for address in _addresses(line)}

    @property
    def sent(self) -> set[Address]:
        """Where it has sent anything from sockets that are not connected."""
        return {
            address for line in self._lines() if not _CONNECT.search(line) for address in _addresses(line)
        }

    @property
    def unix(self) -> set[str]:
        """The Unix sockets of others that it has used."""
        return {found["path"] for line in self._lines() for found in _UNIX.finditer(line)}

    def _lines(self) -> list[str]:
        return self._path.read_text().splitlines()


def _addresses(line: str) -> set[Address]:
    return {(found["host"], int(found["port"])) for found in _IP.finditer(line)}


def _why_not() -> str:
    """Why processes cannot be traced here; empty where they can."""
    tried = subprocess.run(
        [which("strace"), "-qq", "-e", "trace=none", which("true")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return tried.stderr.strip() if tried.returncode else ""
