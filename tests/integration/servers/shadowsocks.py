"""shadowsocks-libev: `ss-local`, which speaks SOCKS5 without a login, before `ss-server`. UDP."""

from integration.servers.process import LOOPBACK, Process, free_port, which
from integration.servers.socks import SocksServer

KEY = "shared by both ends"
METHOD = "chacha20-ietf-poly1305"


class Shadowsocks(SocksServer):
    """`ss-local`; killing it leaves `ss-server` up."""

    programs = ("ss-local", "ss-server")
    username = None
    relays_udp = True

    _far_end: Process | None = None

    def prepare(self) -> None:
        self._far_port = free_port()
        self._far_end = Process([which("ss-server"), *self._shared()], self.folder)
        self._far_end.wait_for_port(self._far_port)

    def command(self) -> list[str]:
        return [which("ss-local"), *self._shared(), "-b", LOOPBACK, "-l", str(self.port)]

    def stop(self) -> None:
        super().stop()
        if self._far_end is not None:
            self._far_end.stop()

    def _shared(self) -> list[str]:
        return ["-s", LOOPBACK, "-p", str(self._far_port), "-k", KEY, "-m", METHOD, "-u"]
