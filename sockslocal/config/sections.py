"""Builds the records of the model from the tables of the file."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import TypeVar, get_args

from sockslocal.address import Endpoint, ListenAddress
from sockslocal.config import values
from sockslocal.config.dns_policy import policy
from sockslocal.config.keys import KEYS
from sockslocal.config.listeners import Listeners, Protocol
from sockslocal.config.model import (
    DEFAULT_CACHE,
    DEFAULT_CONNECT_TIMEOUT,
    DEFAULT_IDLE,
    DEFAULT_STALE,
    DEFAULT_UDP_PROBE,
    DnsConfig,
    Limits,
    PasswordSource,
    ServerConfig,
    ServerUdp,
    Share,
    TcpForwardConfig,
    TlsConfig,
    UdpForwardConfig,
    Upstream,
)
from sockslocal.config.table import Table, Value, is_name
from sockslocal.config.upstreams import upstream
from sockslocal.errors import ConfigError
from sockslocal.quoting import listed, quote

_Address = TypeVar("_Address", Endpoint, ListenAddress)

_NOWHERE = Endpoint("", 0)
"""In the place of an address that cannot be read; the record that has it is not used."""


def server(table: Table) -> ServerConfig:
    """`[server.NAME]`. As all here do, it notes what is wrong, and what it returns is then of no use."""
    table.check_keys(KEYS["server"])
    if "password_from" in table.values and "username" not in table.values:
        text = f"{table.called('password_from')} is of no use without a username"
        table.source.note(table.error("password_from", text, table.remedy("username")))
    address = table.needed("address", values.endpoint, _NOWHERE)
    return ServerConfig(
        name=table.name,
        address=address,
        username=table.given("username", values.username, None),
        password_from=table.given("password_from", values.password_source, PasswordSource()),
        udp=table.given("udp", partial(values.one_of, choices=get_args(ServerUdp)), "auto"),
        udp_address=table.given("udp_address", values.host, None),
        udp_probe=table.given("udp_probe", values.probe, DEFAULT_UDP_PROBE),
        tls=_tls(table, address.host),
        connect_timeout=table.given("connect_timeout", values.seconds, DEFAULT_CONNECT_TIMEOUT),
    )


def _tls(table: Table, host: str) -> TlsConfig | None:
    """What `tls` and the keys that go with it say, where the server's address has `host`."""
    enabled = table.flag("tls", default=False)
    for key in ("tls_name", "tls_ca"):
        if key in table.values and "tls" not in table.values:
            text = f"{table.called(key)} is of no use without tls"
            table.source.note(table.error(key, text, table.remedy("tls")))
    if enabled and table.values.get("udp") == "associate":
        text = f'{table.called("udp")} is "associate", by which datagrams would pass outside of the TLS'
        table.source.note(table.error("udp", text, table.remedy("udp")))
    name = table.given("tls_name", values.host, host)
    ca = table.given("tls_ca", values.absolute_path, None)
    return TlsConfig(name, ca) if enabled else None


def limits(table: Table) -> Limits:
    """`[limits]`."""
    table.check_keys(KEYS["limits"])
    usual = Limits()
    return Limits(
        associations=table.count("associations", usual.associations, most=1024),
        flows_per_association=table.count("flows_per_association", usual.flows_per_association, most=4096),
        flows=table.count("flows", usual.flows, most=65_536),
        waiting=table.count("waiting", usual.waiting, most=1024),
    )


class Reader:
    """Builds what goes through the servers, and notes what it listens on."""

    def __init__(self, servers: Iterable[str]) -> None:
        self.listeners = Listeners()
        self._servers = tuple(servers)

    def tcp(self, table: Table) -> TcpForwardConfig:
        """`[tcp.NAME]`."""
        table.check_keys(KEYS["tcp"])
        listen = self._listen(table, values.listen, ("tcp",))
        return TcpForwardConfig(
            name=table.name,
            listen=tuple(chain.from_iterable(listen)),
            to=_targets(table, listen),
            servers=self._servers_of(table),
            enabled=table.flag("enabled", default=True),
            only_me=table.flag("only_me", default=False),
        )

    def udp(self, table: Table) -> UdpForwardConfig:
        """`[udp.NAME]`."""
        table.check_keys(KEYS["udp"])
        listen = self._listen(table, values.listen_datagrams, ("udp",))
        return UdpForwardConfig(
            name=table.name,
            listen=tuple(chain.from_iterable(listen)),
            to=_targets(table, listen),
            servers=self._servers_of(table),
            enabled=table.flag("enabled", default=True),
            idle=table.given("idle", values.seconds, DEFAULT_IDLE),
            share=table.given("share", partial(values.one_of, choices=get_args(Share)), "auto"),
        )

    def dns(self, table: Table) -> DnsConfig:
        """`[dns]`."""
        table.check_keys(KEYS["dns"])
        listen = tuple(chain.from_iterable(self._listen(table, values.listen_datagrams, ("udp", "tcp"))))
        cache = table.given("cache", values.octets, DEFAULT_CACHE)
        return DnsConfig(
            listen=listen,
            upstreams=tuple(_upstreams(table)),
            servers=self._servers_of(table),
            enabled=table.flag("enabled", default=True),
            policy=policy(table, listen),
            cache=cache,
            stale=table.given("stale", values.stale, DEFAULT_STALE),
            prefetch=table.flag("prefetch", default=True),
            keep=_keep(table, cache),
        )

    def _listen(
        self, table: Table, parse: Callable[..., tuple[_Address, ...]], protocols: tuple[Protocol, ...]
    ) -> list[tuple[_Address, ...]]:
        """What each text of `listen` asks for, where that can be read."""
        enabled, allow_lan = table.flag("enabled", default=True), table.flag("allow_lan", default=False)
        groups = []
        for value in table.needed_list("listen"):
            with table.source.noting():
                addresses = parse(value, allow_lan=allow_lan)
                for protocol in protocols:
                    self.listeners.add(protocol, addresses, value, enabled=enabled)
                groups.append(addresses)
        return groups

    def _servers_of(self, table: Table) -> tuple[str, ...]:
        """The servers that the table names, or the first of the file."""
        named = table.given_list("server")
        for value in named:
            if value.text not in self._servers:
                table.source.note(self._unknown_server(value))
        if not named and not self._servers:
            text = f"{table.subject} has no server to go through: the file has no [server.NAME]"
            table.source.note(table.error(None, text, "sockslocal server add office ADDRESS"))
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


def _targets(table: Table, listen: Sequence[tuple[ListenAddress, ...]]) -> tuple[Endpoint, ...]:
    """The target of each listener."""
    return table.needed("to", partial(values.targets, lengths=[*map(len, listen)]), ())


def _upstreams(table: Table) -> Iterator[Upstream]:
    ca = table.given("ca", values.absolute_path, None)
    for value in table.needed_list("upstreams"):
        with table.source.noting():
            yield upstream(value, ca)


def _keep(table: Table, cache: int) -> bool:
    """Whether the cache, of so many octets, is to be on disk."""
    keep = table.flag("keep", default=False)
    if keep and not cache:
        text = f"{table.subject} is to keep its answers, but has no room for any: cache is 0"
        table.source.note(table.error("keep", text, 'leave out keep, or write a size like cache = "16 MB"'))
    return keep
