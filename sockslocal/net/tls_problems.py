"""What a user reads where there is no TLS with a server: what is wrong, and what mends it."""

import ssl
from typing import NamedTuple

from sockslocal.config.model import TlsConfig
from sockslocal.net.tls import AuthoritiesError, is_cut
from sockslocal.net.way import Way
from sockslocal.problems import Problem


class Words(NamedTuple):
    """What is wrong, and what mends it."""

    reason: str
    remedy: str


_NOT_YET_VALID, _EXPIRED = 9, 10
_WRONG_NAME = (62, 64)
_UNKNOWN_ISSUER = (2, 18, 19, 20, 21)
"""X509_V_ERR_* of OpenSSL's x509_vfy.h, which Python has no names for."""

_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")
_TOO_OLD = ("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION")
_WANTS_CERTIFICATE = ("TLSV13_ALERT_CERTIFICATE_REQUIRED",)
"""OpenSSL's reasons, as Python names them."""


class Settings(NamedTuple):
    """How a remedy calls what a user has written."""

    address: str
    name: str
    ca: str


def tls_problem(way: Way, error: OSError) -> Problem:
    """The problem that `error` is, to which TLS on `way` came."""
    assert way.tls is not None  # noqa: S101  or there was none
    section = f"[server.{way.name}]"
    settings = Settings(f"{section} address", f"tls_name in {section}", f"tls_ca in {section}")
    reason, remedy = tls_words(error, way.tls.config, settings)
    return way.problem("server-tls", reason=reason, remedy=remedy)


def tls_words(error: OSError, config: TlsConfig, settings: Settings) -> Words:
    """What `error` says of TLS with a server."""
    if isinstance(error, AuthoritiesError):
        return Words(f"{config.ca} cannot be used: {error.strerror}", f"check {settings.ca}")
    if isinstance(error, ssl.SSLCertVerificationError):
        return _about_certificate(error, config, settings)
    address = f"check {settings.address}, and whether the server speaks TLS there"
    if is_cut(error):
        return Words("it closed the connection", address)
    if isinstance(error, ssl.SSLError):
        return _about_handshake(error.reason or "the handshake failed", address)
    return Words((error.strerror or "the connection failed").lower(), address)


def _about_certificate(error: ssl.SSLCertVerificationError, config: TlsConfig, settings: Settings) -> Words:
    renew = "have the certificate renewed, or set this computer's clock"
    code = error.verify_code
    if code == _EXPIRED:
        return Words("its certificate has expired", renew)
    if code == _NOT_YET_VALID:
        return Words("its certificate is not valid yet", renew)
    if code in _WRONG_NAME:
        remedy = f"set {settings.name} to the name that the certificate is for"
        return Words(f"its certificate is not for {config.name}", remedy)
    if code not in _UNKNOWN_ISSUER:
        return Words(f"its certificate is refused: {error.verify_message}", renew)
    if config.ca is None:
        remedy = f"set {settings.ca} to a file with the certificate of who does"
        return Words("nobody whom this system trusts vouches for its certificate", remedy)
    return Words(
        f"nobody in {config.ca} vouches for its certificate",
        f"put the certificate of who does into {config.ca}",
    )


def _about_handshake(reason: str, address: str) -> Words:
    if reason in _NO_TLS:
        return Words("it answers with something else", address)
    if reason in _TOO_OLD:
        return Words("it has no version that is safe still", "have the server updated")
    if reason in _WANTS_CERTIFICATE:
        wanted = "it wants a certificate of its clients, and sockslocal has none"
        return Words(wanted, "have the server let in clients without one")
    return Words(reason.replace("_", " ").lower(), "see the server's log")
