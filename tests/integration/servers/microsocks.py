"""microsocks: user and password, no UDP. It cuts half-closed connections and needs a segment a message."""

from integration.servers.process import which
from integration.servers.socks import PASSWORD, USERNAME, SocksServer


class Microsocks(SocksServer):
    """`microsocks`."""

    programs = ("microsocks",)
    relays_udp = False

    def command(self) -> list[str]:
        return [which("microsocks"), "-i", self.host, "-p", str(self.port), "-u", USERNAME, "-P", PASSWORD]
