"""DNS servers as a user writes them: `udp://`, `tcp://`, `tls://HOST#NAME` and `https://HOST/path`."""

import re
from pathlib import Path
from typing import get_args

from sockslocal.address import AddressError, Endpoint, normalise_host, parse_endpoint
from sockslocal.config.model import TlsConfig, Upstream, UpstreamScheme
from sockslocal.config.table import Value
from sockslocal.config.values import unreachable
from sockslocal.quoting import quote

DEFAULT_PORTS: dict[UpstreamScheme, int] = {"udp": 53, "tcp": 53, "tls": 853, "https": 443}
"""RFC 1035 §4.2, RFC 7858 §3.1, RFC 9110 §4.2.2."""

DEFAULT_PATH = "/dns-query"
"""Where most servers have it, and RFC 8484 in its examples."""

MAX_PATH = 255
"""Characters; those of public servers have some 50."""

_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:%/?-]*")
_TEMPLATE = "{?dns}"
"""How RFC 8484 §3 has the path of a server that takes GET; a POST leaves it out (§4.1)."""

_REMEDY = 'write it like "udp://9.9.9.9", "tcp://9.9.9.9", "tls://9.9.9.9#dns.quad9.net" or '
_REMEDY += '"https://dns.quad9.net/dns-query"'


def upstream(value: Value, ca: Path | None) -> Upstream:
    """An upstream, at its scheme's own port where none is given; `ca` is whom to trust for TLS."""
    scheme, colon, rest = value.text.partition("://")
    for known in get_args(UpstreamScheme):
        if colon and scheme.lower() == known:
            try:
                return _READ.get(known, _plain)(known, rest, ca, value)
            except AddressError as error:
                raise value.error(f"{value.called}: {error}", _REMEDY) from None
    fault = "is not supported" if colon else "has no scheme"
    known = ", ".join(f"{each}://" for each in get_args(UpstreamScheme))
    raise value.error(f"{value.called}: {quote(value.text)} {fault}; {known} work", _REMEDY)


def _plain(scheme: UpstreamScheme, rest: str, _ca: Path | None, value: Value) -> Upstream:
    return Upstream(scheme, _endpoint(scheme, rest, value))


def _tls(scheme: UpstreamScheme, rest: str, ca: Path | None, value: Value) -> Upstream:
    """What stands behind `#` is the name that the certificate has to be for."""
    address, sharp, name = rest.partition("#")
    endpoint = _endpoint(scheme, address, value)
    return Upstream(scheme, endpoint, TlsConfig(normalise_host(name) if sharp else endpoint.host, ca))


def _https(scheme: UpstreamScheme, rest: str, ca: Path | None, value: Value) -> Upstream:
    """A URI without user and fragment (RFC 8484 §3)."""
    if "@" in rest:  # before any other error could show a part of a password
        raise value.error(
            f"{value.called}: {quote(value.text)} has a user, and no upstream asks for one", _REMEDY
        )
    address, slash, path = rest.partition("/")
    path = (slash + path).removesuffix(_TEMPLATE) or DEFAULT_PATH
    if not _PATH.fullmatch(path) or len(path) > MAX_PATH:
        raise value.error(f"{value.called}: {quote(value.text)} has no path of a URL", _REMEDY)
    endpoint = _endpoint(scheme, address, value)
    return Upstream(scheme, endpoint, TlsConfig(endpoint.host, ca), path)


def _endpoint(scheme: UpstreamScheme, text: str, value: Value) -> Endpoint:
    endpoint = parse_endpoint(text, default_port=DEFAULT_PORTS[scheme])
    if kind := unreachable(endpoint.host):
        raise value.error(f"{value.called}: {quote(value.text)} is {kind}", _REMEDY)
    return endpoint


_READ = {"tls": _tls, "https": _https}
