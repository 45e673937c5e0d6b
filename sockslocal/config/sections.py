"""Builds the records of the model from the tables of the file."""

import difflib
from collections.abc import Callable
from itertools import chain
from typing import TypeVar, get_args

from sockslocal.address import Endpoint, ListenAddress
from sockslocal.config import values
from sockslocal.config.keys import KEYS
from sockslocal.config.listeners import Listeners, Protocol
from sockslocal.config.model import (
    DEFAULT_CONNECT_TIMEOUT,
    DEFAULT_IDLE,
    DnsConfig,
    PasswordSource,
    ServerConfig,
    ServerUdp,
    TcpForwardConfig,
    UdpForwardConfig,
)
from sockslocal.config.table import Table, Value, is_name
from sockslocal.errors import ConfigError
from sockslocal.quoting import listed, quote

_Address = TypeVar("_Address", Endpoint, ListenAddress)


def server(table: Table) -> ServerConfig:
    """`[server.NAME]`. Raises ConfigError, as all here do."""
    table.check_keys(KEYS["server"])
    user, source = table.value("username"), table.value("password_from")
    if source and not user:
        raise source.error(f"{source.called} is of no use without a username", table.remedy("username"))
    udp, udp_address, timeout = table.value("udp"), table.value("udp_address"), table.value("connect_timeout")
    return ServerConfig(
        name=table.name,
        address=values.endpoint(table.required("address")),
        username=values.username(user) if user else None,
        password_from=values.password_source(source) if source else PasswordSource(),
        udp=values.one_of(udp, get_args(ServerUdp)) if udp else "auto",
        udp_address=values.host(udp_address) if udp_address else None,
        connect_timeout=values.seconds(timeout) if timeout else DEFAULT_CONNECT_TIMEOUT,
    )


class Reader:
    """Builds what goes through the servers, and notes what it listens on."""

    def __init__(self, servers: dict[str, ServerConfig]) -> None:
        self.listeners = Listeners()
        self._servers = tuple(servers)

    def tcp(self, table: Table) -> TcpForwardConfig:
        """`[tcp.NAME]`."""
        table.check_keys(KEYS["tcp"])
        listen = self._listen(table, values.listen, ("tcp",))
        return TcpForwardConfig(
            name=table.name,
            listen=tuple(chain.from_iterable(listen)),
            to=values.targets(table.required("to"), map(len, listen)),
            servers=self._servers_of(table),
            enabled=table.flag("enabled", default=True),
            only_me=table.flag("only_me", default=False),
        )

    def udp(self, table: Table) -> UdpForwardConfig:
        """`[udp.NAME]`."""
        table.check_keys(KEYS["udp"])
        listen = self._listen(table, values.listen_datagrams, ("udp",))
        idle = table.value("idle")
        return UdpForwardConfig(
            name=table.name,
            listen=tuple(chain.from_iterable(listen)),
            to=values.targets(table.required("to"), map(len, listen)),
            servers=self._servers_of(table),
            enabled=table.flag("enabled", default=True),
            idle=values.seconds(idle) if idle else DEFAULT_IDLE,
        )

    def dns(self, table: Table) -> DnsConfig:
        """`[dns]`."""
        table.check_keys(KEYS["dns"])
        listen = self._listen(table, values.listen_datagrams, ("udp", "tcp"))
        return DnsConfig(
            listen=tuple(chain.from_iterable(listen)),
            upstreams=tuple(values.upstream(value) for value in table.required_list("upstreams")),
            servers=self._servers_of(table),
            enabled=table.flag("enabled", default=True),
        )

    def _listen(
        self, table: Table, parse: Callable[..., tuple[_Address, ...]], protocols: tuple[Protocol, ...]
    ) -> list[tuple[_Address, ...]]:
        """What each text of `listen` asks for."""
        enabled, allow_lan = table.flag("enabled", default=True), table.flag("allow_lan", default=False)
        groups = []
        for value in table.required_list("listen"):
            addresses = parse(value, allow_lan=allow_lan)
            for protocol in protocols:
                self.listeners.add(protocol, addresses, value, enabled=enabled)
            groups.append(addresses)
        return groups

    def _servers_of(self, table: Table) -> tuple[str, ...]:
        """The servers that the table names, or the first of the file."""
        named = table.value_list("server")
        for value in named:
            if value.text not in self._servers:
                raise self._unknown_server(value)
        if not named and not self._servers:
            text = f"{table.subject} has no server to go through: the file has no [server.NAME]"
            raise table.error(None, text, "sockslocal server add office ADDRESS")
        return tuple(value.text for value in named) or self._servers[:1]

    def _unknown_server(self, value: Value) -> ConfigError:
        goes = f"{value.table.subject} goes through server {quote(value.text)}"
        if value.table.source.edited == ("server", value.text):
            return value.error(f"{goes}, so that cannot be removed")
        known = f"known are {listed(self._servers)}" if self._servers else "the file has no [server.NAME]"
        near = difflib.get_close_matches(value.text, self._servers, n=1)
        name = value.text if is_name(value.text) else "office"
        return value.error(
            f"{goes}, which is not there; {known}",
            value.remedy(near[0]) if near else f"sockslocal server add {name} ADDRESS",
        )
