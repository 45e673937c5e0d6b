"""What single texts of the configuration mean: durations, addresses, password sources.

Every function that is given a `Value` raises ConfigError for one that it cannot use.
"""

import re
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from sockslocal.address import (
    AddressError,
    Endpoint,
    ListenAddress,
    ip_of,
    is_loopback,
    normalise_host,
    parse_endpoint,
    parse_endpoints,
    parse_listen,
)
from sockslocal.config.model import PasswordKind, PasswordSource
from sockslocal.config.table import Value
from sockslocal.quoting import quote

LONGEST_DURATION = 24 * 3600.0
"""Seconds; whoever writes more than a day meant something else."""

LONGEST_STALE = 7 * 86_400.0
"""Seconds; older answers are more likely wrong than of use (RFC 8767 §5)."""

MOST_OCTETS = 1_000_000_000
"""In memory."""

DNS_PORT = 53

MAX_USERNAME_OCTETS = 255
"""RFC 1929 §2: the length of the user name is one octet."""

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_OCTETS = re.compile(r"([0-9]{1,9}) ?(kB|MB|GB)")
_FACTORS = {"kB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}
_CREDENTIAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")

_T = TypeVar("_T", bound=str)


def parse_duration(text: str) -> float | None:
    """`10s`, `500ms`, `1.5m`, `1h` or `1d` in seconds; None for what is no duration."""
    matched = _DURATION.fullmatch(text)
    return float(matched[1]) * _UNITS[matched[2]] if matched else None


def seconds(value: Value) -> float:
    """A duration that is more than nothing and at most a day, in seconds."""
    duration = parse_duration(value.text)
    if duration is None:
        raise value.error(f"{value.called} is {quote(value.text)}, not a duration like 500ms, 10s or 2m")
    if not 0 < duration <= LONGEST_DURATION:
        raise value.error(f"{value.called} is {quote(value.text)}; it has to be more than 0 and at most 24h")
    return duration


def stale(value: Value) -> float:
    """A duration of at most a week, in seconds; `0` and `0s` are none."""
    duration = 0.0 if value.text == "0" else parse_duration(value.text)
    if duration is None or duration > LONGEST_STALE:
        raise value.error(f"{value.called} is {quote(value.text)}, not a duration from 0 (never) to 7d")
    return duration


def octets(value: Value) -> int:
    """`500 kB`, `16 MB`, `1GB` in octets; `0` is none."""
    matched = _OCTETS.fullmatch(value.text)
    size = int(matched[1]) * _FACTORS[matched[2]] if matched else 0
    if size > MOST_OCTETS or (not matched and value.text != "0"):
        raise value.error(f"{value.called} is {quote(value.text)}, not a size from 0 (none) to 1 GB")
    return size


def one_of(value: Value, choices: tuple[_T, ...]) -> _T:
    """The one of `choices` that the text is."""
    for choice in choices:
        if value.text == choice:
            return choice
    raise value.error(f"{value.called} is {quote(value.text)}, not one of {', '.join(choices)}")


def username(value: Value) -> str:
    """A user name of 1 to 255 octets of UTF-8 (RFC 1929 §2)."""
    try:
        octets = len(value.text.encode())
    except UnicodeEncodeError:  # an argument of the command line that was not UTF-8
        raise value.error(f"{value.called} is not UTF-8") from None
    if not octets:
        raise value.error(f"{value.called} is empty", "leave it out if the server wants no login")
    if octets > MAX_USERNAME_OCTETS:
        raise value.error(
            f"{value.called} has {octets} octets; SOCKS5 carries at most {MAX_USERNAME_OCTETS}",
            "use a shorter user name",
        )
    return value.text


def password_source(value: Value) -> PasswordSource:
    """`keyring`, `prompt`, `file:/path`, `command:pass show proxy` or `systemd:NAME`.

    Errors do not show the text: it may be the password itself, written here by mistake.
    """
    kind, colon, argument = value.text.partition(":")
    for known, complaint_about in _PASSWORD_SOURCES.items():
        if kind == known and bool(colon) == (known not in {"keyring", "prompt"}):
            complaint = "has control characters" if _CONTROL.search(argument) else complaint_about(argument)
            if complaint:
                raise value.error(f"{value.called} {complaint}", _SOURCE_REMEDY)
            return PasswordSource(known, argument)
    raise value.error(f"{value.called} is none of the known sources of a password", _SOURCE_REMEDY)


def host(value: Value) -> str:
    """An IP address or a host name, without a port."""
    try:
        return normalise_host(value.text)
    except AddressError as error:
        raise value.error(f"{value.called}: {error}") from None


def absolute_path(value: Value) -> Path:
    """A path that means the same wherever it is read."""
    path = Path(value.text)
    if _CONTROL.search(value.text):
        raise value.error(f"{value.called} is {quote(value.text)}, with control characters in it")
    if not path.is_absolute():
        raise value.error(f"{value.called} is {quote(value.text)}, not an absolute path")
    return path


def probe(value: Value) -> Endpoint | None:
    """A DNS server to ask, at port 53 where none is given; None for `off`."""
    if value.text == "off":
        return None
    remedy = f'{value.remedy()}, or "off"'
    try:
        server = parse_endpoint(value.text, default_port=DNS_PORT)
    except AddressError as error:
        raise value.error(f"{value.called}: {error}", remedy) from None
    if kind := unreachable(server.host):
        raise value.error(f"{value.called}: {quote(value.text)} is {kind}", remedy)
    return server


def endpoint(value: Value) -> Endpoint:
    """A host and a port of a server."""
    try:
        return parse_endpoint(value.text, like="proxy.example.net:1080")
    except AddressError as error:
        raise value.error(f"{value.called}: {error}") from None


def listen(value: Value, *, allow_lan: bool) -> tuple[ListenAddress, ...]:
    """One address to listen on, or as many as its range of ports has."""
    try:
        addresses = parse_listen(value.text)
    except AddressError as error:
        raise value.error(f"{value.called}: {error}", value.remedy(_on_loopback(value.text))) from None
    first = addresses[0]
    if isinstance(first, Endpoint) and not allow_lan and not is_loopback(first.host):
        raise value.error(
            f"{value.called} is {quote(value.text)}, open to other machines: "
            "that needs allow_lan = true beside it",
            value.remedy(_on_loopback(value.text)),
        )
    return addresses


def _on_loopback(text: str) -> str | None:
    """The ports of `text` on loopback, where it has such."""
    host, _, ports = text.rpartition(":")
    proposal = f"[::1]:{ports}" if ":" in host else f"127.0.0.1:{ports}"
    try:
        parse_listen(proposal)
    except AddressError:
        return None
    return proposal


def listen_datagrams(value: Value, *, allow_lan: bool) -> tuple[Endpoint, ...]:
    """As `listen`, but for what carries datagrams too, which a Unix path does not here."""
    addresses = listen(value, allow_lan=allow_lan)
    endpoints = tuple(address for address in addresses if isinstance(address, Endpoint))
    if len(endpoints) < len(addresses):
        raise value.error(f"{value.called} is {quote(value.text)}; only TCP forwards listen on Unix paths")
    return endpoints


def targets(value: Value, lengths: Iterable[int]) -> tuple[Endpoint, ...]:
    """The target of each listener, where each text of `listen` gave so many of them as `lengths` says."""
    try:
        endpoints = parse_endpoints(value.text)
    except AddressError as error:
        raise value.error(f"{value.called}: {error}") from None
    if kind := unreachable(endpoints[0].host):
        raise value.error(f"{value.called} is {quote(value.text)}, {kind}: no server can connect to it")
    result: list[Endpoint] = []
    for length in lengths:
        if len(endpoints) not in {1, length}:
            raise value.error(
                f"{value.called} has {len(endpoints)} ports, but {quote('listen')} has {length}",
                value.remedy(_range(endpoints[0], length)),
            )
        result += endpoints if len(endpoints) == length else endpoints * length
    return tuple(result)


def unreachable(host: str) -> str | None:
    """What `host` is, if it is an IP address that is nobody's."""
    address = ip_of(host)
    if address is None:
        return None
    if address.is_multicast:
        return "a multicast address"
    if str(address) == "255.255.255.255":
        return "a broadcast address"
    return "no address of anybody's" if address.is_unspecified else None


def _range(first: Endpoint, length: int) -> str:
    """`length` ports from `first` on; just that one where there are not so many, or no more are needed."""
    last = first.port + length - 1
    return str(first) if length == 1 or last >= 65536 else f"{first}-{last}"


def _about_nothing(_argument: str) -> str:
    return ""


def _about_path(argument: str) -> str:
    return "" if Path(argument).is_absolute() else "needs an absolute path after file:"


def _about_command(argument: str) -> str:
    try:
        return "" if shlex.split(argument) else "needs a command after command:"
    except ValueError:
        return "has a command with a quote that is not closed"


def _about_credential(argument: str) -> str:
    return "" if _CREDENTIAL.fullmatch(argument) else "needs the name of a credential after systemd:"


_SOURCE_REMEDY = 'write "keyring", "prompt", "file:/path", "command:pass show proxy" or "systemd:NAME"'
_PASSWORD_SOURCES: dict[PasswordKind, Callable[[str], str]] = {
    "keyring": _about_nothing,
    "prompt": _about_nothing,
    "file": _about_path,
    "command": _about_command,
    "systemd": _about_credential,
}
