"""Dante: user and password, UDP ASSOCIATE.

Dante knows only the system's users. libnss-wrapper shows it a passwd and a shadow file of the test's own, so
that no user is made, and no privilege needed.
"""

import ctypes
import os
from collections.abc import Mapping

from integration.servers.process import which
from integration.servers.socks import NOBODY, PASSWORD, USERNAME, SocksServer

WRAPPER = "libnss_wrapper.so"

CONFIG = """\
logoutput: stderr
internal: {host} port = {port}
external: 127.0.0.1
clientmethod: none
socksmethod: username
user.privileged: {privileged}
user.unprivileged: {unprivileged}
client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 command: connect udpassociate }}
socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 command: bindreply udpreply }}
"""


class Dante(SocksServer):
    """`danted`, unprivileged unless the tests run as root."""

    programs = ("danted",)
    relays_udp = True

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
        other = "nobody" if os.geteuid() == 0 else me
        text = CONFIG.format(host=self.host, port=self.port, privileged=me, unprivileged=other)
        self.write("danted.conf", text)

    def environment(self) -> Mapping[str, str]:
        files = {kind: str(self.folder / kind) for kind in ("passwd", "shadow", "group")}
        return {"LD_PRELOAD": WRAPPER} | {f"NSS_WRAPPER_{k.upper()}": path for k, path in files.items()}

    def command(self) -> list[str]:
        return [which("danted"), "-f", f"{self.folder}/danted.conf", "-p", f"{self.folder}/danted.pid"]


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
