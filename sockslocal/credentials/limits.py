"""What user/password authentication can carry (RFC 1929 §2)."""

import codecs

from sockslocal.errors import CredentialsError
from sockslocal.secret import Secret

MAX_OCTETS = 255
"""One octet holds the length."""

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def check(secret: Secret, *, server: str) -> Secret:
    """`secret` itself, where it can be sent: at most 255 octets of UTF-8.

    The empty one passes, though RFC 1929 wants one octet at least: some servers take it, others refuse it, so
    the caller warns. Raises CredentialsError `password-invalid`.
    """
    try:
        octets = len(secret.reveal().encode())
    except UnicodeEncodeError:  # a lone surrogate, from a terminal that is not UTF-8
        octets = None
    if octets is None:  # raised out here: an exception being handled would go along, with the text in it
        raise unusable(server, "it is not UTF-8 text")
    if octets > MAX_OCTETS:
        raise unusable(server, f"it has {octets} octets as UTF-8, and SOCKS5 can send {MAX_OCTETS}")
    return secret


def decode(content: bytes, *, server: str) -> Secret:
    """The password in `content`, which is what a file or a command gives: its one line, without its end.

    An editor's byte order mark is no part of it. Raises CredentialsError `password-invalid` where there is
    none, or it cannot be sent.
    """
    line = content.removeprefix(codecs.BOM_UTF8).removesuffix(b"\n").removesuffix(b"\r")
    if not content:
        raise unusable(server, "there is none, not even an empty line")
    if content.startswith(_UTF_16):
        raise unusable(server, "it is not UTF-8 text but UTF-16", f"save it as UTF-8 {_there(server)}")
    if b"\n" in line:
        remedy = f"leave just one line, the password, {_there(server)}"
        raise unusable(server, "it has several lines", remedy)
    return check(Secret(line.decode(errors="surrogateescape")), server=server)


def unusable(server: str, reason: str, remedy: str | None = None) -> CredentialsError:
    """The error for a password that exists but cannot be sent; without a `remedy` another one is needed."""
    remedy = remedy or f"give another one {_there(server)}"
    return CredentialsError.of("password-invalid", server=server, reason=reason, remedy=remedy)


def _there(server: str) -> str:
    return f"where password_from of [server.{server}] says it is"
