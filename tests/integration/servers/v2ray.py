"""V2Ray: user and password, UDP. It reports success before it connects, and cuts datagrams of over 2 kB."""

import json

from integration.servers.process import LOOPBACK, which
from integration.servers.socks import PASSWORD, USERNAME, SocksServer


class V2Ray(SocksServer):
    """`v2ray` with one SOCKS inbound."""

    programs = ("v2ray",)
    relays_udp = True

    def prepare(self) -> None:
        inbound = {
            "listen": LOOPBACK,
            "port": self.port,
            "protocol": "socks",
            "settings": {
                "auth": "password",
                "accounts": [{"user": USERNAME, "pass": PASSWORD}],
                "udp": True,
                "ip": LOOPBACK,
            },
        }
        config = {
            "log": {"loglevel": "warning"},
            "inbounds": [inbound],
            "outbounds": [{"protocol": "freedom"}],
        }
        self.write("v2ray.json", json.dumps(config))

    def command(self) -> list[str]:
        return [which("v2ray"), "-config", f"{self.folder}/v2ray.json"]
