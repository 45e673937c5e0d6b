"""The keys of `[dns]` that say which names are not asked as the others are."""

from collections.abc import Collection, Iterator
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import get_args

from sockslocal.address import (
    AddressError,
    Endpoint,
    ip_of,
    is_loopback,
    normalise_host,
    parse_endpoint,
    unmapped,
)
from sockslocal.config import values
from sockslocal.config.model import Allow, Ask, Block, Blocked, Direct, DnsPolicy, DnsRule, Fixed, RuleAction
from sockslocal.config.table import MAX_ITEMS, Table, Value
from sockslocal.config.upstreams import upstream
from sockslocal.quoting import quote

_REMEDY = 'write an upstream like "udp://10.0.0.2", "direct:192.168.1.1", "block", "allow", or an IP address'


def policy(table: Table, listen: Collection[Endpoint]) -> DnsPolicy:
    """What `[dns]`, which listens on `listen`, says of it; what is wrong is noted."""
    return DnsPolicy(
        rules=_rules(table, listen),
        hosts=tuple(_paths(table, "hosts")),
        block_lists=tuple(_paths(table, "block_lists")),
        blocked=table.given("blocked", partial(values.one_of, choices=get_args(Blocked)), "nxdomain"),
        rebind_protection=table.flag("rebind_protection", default=False),
        filter_aaaa=table.flag("filter_aaaa", default=False),
    )


def _paths(table: Table, key: str) -> Iterator[Path]:
    for value in table.given_list(key):
        with table.source.noting():
            yield values.absolute_path(value)


def _rules(dns: Table, listen: Collection[Endpoint]) -> tuple[DnsRule, ...]:
    """`[dns.rules]`, in the order of the file."""
    table = dns.table("rules")
    if table is None:
        return ()
    if len(table.values) > MAX_ITEMS:
        text = f"[dns.rules] has more than {MAX_ITEMS} rules"
        table.source.note(table.error(None, text, "put the names into a file and that into block_lists"))
        return ()
    ca = dns.given("ca", values.absolute_path, None)
    rules: dict[str, RuleAction] = {}
    for key, given in table.values.items():
        with table.source.noting():
            suffix = _suffix(table, key)
            if suffix in rules:
                raise table.error(key, f"there is another rule for {quote(suffix)}", "keep one of the two")
            texts = _texts(table, key, given)
            rules[suffix] = action = _action(texts, ca)
            if isinstance(action, Direct) and _reaches(action.server, listen):
                text = f"{texts[0].called}: at {action.server} the resolver itself listens"
                raise texts[0].error(f"{text}, and would ask itself for ever", _DIRECT_REMEDY)
    return tuple(DnsRule(suffix, action) for suffix, action in rules.items())


def _suffix(table: Table, key: str) -> str:
    """The name that the rule is for, as it is looked up."""
    bare = key.removeprefix("*").removeprefix(".")
    try:
        name = normalise_host(bare)
    except AddressError as error:
        raise table.error(
            key, f"a rule in [dns.rules]: {error}", 'write a name like "corp.example"'
        ) from None
    if bare != key:
        text = f"the rule {quote(key)} has to be called {quote(name)}: it is for all beneath the name too"
        raise table.error(key, text, f"write {quote(name)} there")
    if ip_of(name) is not None:
        raise table.error(key, f"the rule {quote(key)} is for an address, not for a name", "use a name")
    return name


def _texts(table: Table, key: str, given: object) -> list[Value]:
    """The texts of a rule: one, or a list of them."""
    if isinstance(given, dict):
        text = f"the rule {quote(key)} is a table, as names with dots become without quotes"
        raise table.error(key, text, 'put the name into quotes, like "corp.example" = "block"')
    if isinstance(given, str):
        return [Value(table, key, None, given)]
    if isinstance(given, list) and 0 < len(given) <= MAX_ITEMS and all(isinstance(one, str) for one in given):
        return [Value(table, key, place, text) for place, text in enumerate(given)]
    raise table.error(key, f"the rule {quote(key)} is neither a text in quotes nor a list of them", _REMEDY)


def _action(texts: list[Value], ca: Path | None) -> RuleAction:
    """What the texts say; several are all addresses or all upstreams."""
    actions = [_single(value, ca) for value in texts]
    upstreams = tuple(one for action in actions if isinstance(action, Ask) for one in action.upstreams)
    addresses = tuple(one for action in actions if isinstance(action, Fixed) for one in action.addresses)
    if len(actions) == 1:
        return actions[0]
    if len(upstreams) == len(actions):
        return Ask(upstreams)
    if len(addresses) == len(actions):
        return Fixed(addresses)
    raise texts[0].table.error(
        texts[0].key, f"the rule {quote(texts[0].key)} lists what does not go together", _LIST_REMEDY
    )


def _single(value: Value, ca: Path | None) -> RuleAction:
    text = value.text
    if text == "block":
        return Block()
    if text == "allow":
        return Allow()
    if text.startswith("direct:"):
        return Direct(_direct(value, text.removeprefix("direct:")))
    if "://" in text:
        return Ask((upstream(value, ca),))
    try:
        host = normalise_host(text)
    except AddressError:
        host = ""
    if ip_of(host) is None:
        raise value.error(
            f"the rule {quote(value.key)} says {quote(text)}, which is none of the ways", _REMEDY
        )
    return Fixed((host,))


def _direct(value: Value, text: str) -> Endpoint:
    """The server past the tunnel; a name would have to be resolved past the tunnel as well."""
    try:
        server = parse_endpoint(text, default_port=values.DNS_PORT, like="192.168.1.1:53")
    except AddressError as error:
        raise value.error(f"{value.called}: {error}", _DIRECT_REMEDY) from None
    if ip_of(server.host) is None or values.unreachable(server.host):
        raise value.error(
            f"{value.called}: {quote(server.host)} is not the IP address of a server", _DIRECT_REMEDY
        )
    return server


def _reaches(server: Endpoint, listen: Collection[Endpoint]) -> bool:
    """Whether one of `listen` is `server`, or has all addresses of this machine and so its loopback."""
    host = str(unmapped(ip_address(server.host)))
    everywhere = "::" if ":" in host else "0.0.0.0"  # noqa: S104  compared with, never bound to
    hosts = {host, everywhere} if is_loopback(host) else {host}
    return any(one.port == server.port and one.host in hosts for one in listen)


_LIST_REMEDY = 'write only IP addresses into a list, or only upstreams like "udp://10.0.0.2"'
_DIRECT_REMEDY = 'write it like "direct:192.168.1.1" or "direct:[fd00::1]:53"'
