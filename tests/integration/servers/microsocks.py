"""microsocks: user and password, no UDP. It cuts half-closed connections and needs a segment a message."""

from integration.servers.process import LOOPBACK
from integration.servers.socks import PASSWORD, USERNAME, SocksServer, which


class Microsocks(SocksServer):
    """`microsocks`."""

    programs = ("microsocks",)
    relays_udp = False

    def command(self) -> list[str]:
        return [which("microsocks"), "-i", LOOPBACK, "-p", str(self.port), "-u", USERNAME, "-P", PASSWORD]
