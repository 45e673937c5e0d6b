"""What a user reads where there is no TLS with a server: what is wrong, and what mends it."""

import ssl
from typing import NamedTuple

from sockslocal.config.model import TlsConfig
from sockslocal.net.tls import AuthoritiesError, is_cut
from sockslocal.net.way import Way
from sockslocal.problems import Problem


class _Words(NamedTuple):
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


def tls_problem(way: Way, error: OSError) -> Problem:
    """The problem that `error` is, to which TLS on `way` came."""
    assert way.tls is not None  # noqa: S101  or there was none
    reason, remedy = _words(error, way.tls.config, f"[server.{way.name}]")
    return way.problem("server-tls", reason=reason, remedy=remedy)


def _words(error: OSError, config: TlsConfig, section: str) -> _Words:
    if isinstance(error, AuthoritiesError):
        return _Words(f"{config.ca} cannot be used: {error.strerror}", f"check tls_ca in {section}")
    if isinstance(error, ssl.SSLCertVerificationError):
        return _about_certificate(error, config, section)
    address = f"check {section} address, and whether the server speaks TLS there"
    if is_cut(error):
        return _Words("it closed the connection", address)
    if isinstance(error, ssl.SSLError):
        return _about_handshake(error.reason or "the handshake failed", address)
    return _Words((error.strerror or "the connection failed").lower(), address)


def _about_certificate(error: ssl.SSLCertVerificationError, config: TlsConfig, section: str) -> _Words:
    renew = "have the certificate renewed, or set this computer's clock"
    code = error.verify_code
    if code == _EXPIRED:
        return _Words("its certificate has expired", renew)
    if code == _NOT_YET_VALID:
        return _Words("its certificate is not valid yet", renew)
    if code in _WRONG_NAME:
        remedy = f"set tls_name in {section} to the name that the certificate is for"
        return _Words(f"its certificate is not for {config.name}", remedy)
    if code not in _UNKNOWN_ISSUER:
        return _Words(f"its certificate is refused: {error.verify_message}", renew)
    if config.ca is None:
        remedy = f"set tls_ca in {section} to a file with the certificate of who does"
        return _Words("nobody whom this system trusts vouches for its certificate", remedy)
    return _Words(
        f"nobody in {config.ca} vouches for its certificate",
        f"put the certificate of who does into {config.ca}",
    )


def _about_handshake(reason: str, address: str) -> _Words:
    if reason in _NO_TLS:
        return _Words("it answers with something else", address)
    if reason in _TOO_OLD:
        return _Words("it has no version that is safe still", "have the server updated")
    if reason in _WANTS_CERTIFICATE:
        wanted = "it wants a certificate of its clients, and sockslocal has none"
        return _Words(wanted, "have the server let in clients without one")
    return _Words(reason.replace("_", " ").lower(), "see the server's log")
