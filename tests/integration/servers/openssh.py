"""OpenSSH: `ssh -D` to an sshd of the test's own. No login, no UDP; a target not reached is just closed."""

import os
import subprocess
from pathlib import Path

from integration.servers.process import LOOPBACK, Process, free_port, which
from integration.servers.socks import NOBODY, SocksServer

SSHD_CONFIG = """\
Port {port}
ListenAddress {host}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile none
StrictModes no
UsePAM no
MaxStartups 100
"""


class OpenSsh(SocksServer):
    """`ssh -D`; killing it kills the client, which is the SOCKS5 server."""

    programs = ("ssh", "sshd", "ssh-keygen")
    username = None
    relays_udp = False

    _sshd: Process | None = None

    @classmethod
    def missing(cls) -> list[str]:
        refused = ["an account to log in to (sshd refuses nobody)"] if os.geteuid() == NOBODY else []
        return super().missing() + refused

    def prepare(self) -> None:
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # as its own start script does
        for name in ("host_key", "user_key"):
            path = self.folder / name
            subprocess.run([which("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
        self._sshd_port = free_port()
        text = SSHD_CONFIG.format(host=LOOPBACK, port=self._sshd_port, folder=self.folder)
        self._sshd = Process([which("sshd"), "-D", "-e", "-f", self.write("sshd_config", text)], self.folder)
        self._sshd.wait_for_port(self._sshd_port)

    def command(self) -> list[str]:
        options = [
            "BatchMode=yes",
            "ExitOnForwardFailure=yes",
            "StrictHostKeyChecking=no",
            f"UserKnownHostsFile={self.folder}/known_hosts",
            f"IdentityFile={self.folder}/user_key",
        ]
        words = [word for option in options for word in ("-o", option)]
        return [
            which("ssh"), "-F", "none", "-N", *words, "-D", self.address, "-p", str(self._sshd_port), LOOPBACK
        ]  # fmt: skip

    def stop(self) -> None:
        super().stop()
        if self._sshd is not None:
            self._sshd.stop()
