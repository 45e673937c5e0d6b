"""Dante: user and password, UDP ASSOCIATE.

Dante knows only the system's users. libnss-wrapper shows it a passwd and a shadow file of the test's own, so
that no user is made, and no privilege needed.
"""

import ctypes
import os
from collections.abc import Mapping
from typing import ClassVar

import psutil

from integration.servers.process import which
from integration.servers.socks import NOBODY, PASSWORD, USERNAME, SocksServer

WRAPPER = "libnss_wrapper.so"

CONFIG = """\
logoutput: stderr
internal: {host} port = {port}
external: 127.0.0.1
clientmethod: none
socksmethod: username
user.privileged: {user}
user.unprivileged: {user}
client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 command: connect }}
{associations}
socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 command: bindreply udpreply }}
"""


ASSOCIATIONS = """\
socks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 command: udpassociate
log: connect disconnect }"""

_BEGUN, _ENDED = "udp/udpassociate [", "udp/udpassociate ]"
_RELAYS = "danted: io-child"


class Dante(SocksServer):
    """`danted`, as the user that runs the tests, so that all of it may read the test's files."""

    programs = ("danted",)
    relays_udp = True
    associations: ClassVar[str] = ASSOCIATIONS
    """The rule that allows them."""

    @classmethod
    def missing(cls) -> list[str]:
        return super().missing() + ([] if _loads(WRAPPER) else [WRAPPER])

    def prepare(self) -> None:
        me = "nobody" if os.geteuid() == NOBODY else "tester"
        users = {"nobody": (NOBODY, NOBODY), USERNAME: (64711, NOBODY), me: (os.geteuid(), os.getegid())}
        passwd = [f"{name}:x:{user}:{group}:::\n" for name, (user, group) in users.items()]
        self.write("passwd", "".join(passwd))
        self.write("shadow", f"{USERNAME}:{_crypt(PASSWORD)}:19000:0:99999:7:::\n")
        self.write("group", f"nogroup:x:{NOBODY}:\ntesters:x:{os.getegid()}:\n")
        self.name({})
        text = CONFIG.format(
            host=self.host,
            port=self.port,
            user=me,
            associations=self.associations,
        )
        self.write("danted.conf", text)

    def environment(self) -> Mapping[str, str]:
        files = {kind: str(self.folder / kind) for kind in ("passwd", "shadow", "group", "hosts")}
        return {"LD_PRELOAD": WRAPPER} | {f"NSS_WRAPPER_{k.upper()}": path for k, path in files.items()}

    def name(self, hosts: Mapping[str, str]) -> None:
        """Have it know names, given with the address of each, beside those of the system."""
        self.write("hosts", "".join(f"{address} {name}\n" for name, address in hosts.items()))

    def command(self) -> list[str]:
        return [which("danted"), "-f", f"{self.folder}/danted.conf", "-p", f"{self.folder}/danted.pid"]

    def associated(self) -> int:
        """How many associations it has granted so far, by its log."""
        return self._logged(_BEGUN)

    def relaying(self) -> int:
        """How many of them it has not ended yet."""
        return self._logged(_BEGUN) - self._logged(_ENDED)

    def _logged(self, what: str) -> int:
        assert self.process is not None
        return self.process.output_path.read_text().count(what)

    def processes(self) -> list[psutil.Process]:
        """All that it consists of."""
        assert self.process is not None
        mother = psutil.Process(self.process.pid)
        return [mother, *mother.children(recursive=True)]

    def relays(self) -> list[psutil.Process]:
        """Those that relay, or would; each does so for up to 32 associations."""
        return [process for process in self.processes() if _calls_itself(process).startswith(_RELAYS)]


class DanteWithoutUdp(Dante):
    """It knows UDP ASSOCIATE, and allows nobody to use it."""

    relays_udp = False
    associations = ""


def _calls_itself(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def _crypt(password: str) -> str:
    """`password` as in a shadow file, by crypt(3)'s cheapest method: Dante hashes at every login."""
    function = ctypes.CDLL("libcrypt.so.1").crypt
    function.restype = ctypes.c_char_p
    hashed: bytes = function(password.encode(), b"$1$socksloc$")
    return hashed.decode()


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
