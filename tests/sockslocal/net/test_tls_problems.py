import errno
import ssl
from pathlib import Path

import pytest

from fakes.engine import way_to
from sockslocal.config.model import TlsConfig
from sockslocal.net.tls import AuthoritiesError, Tls
from sockslocal.net.tls_problems import tls_problem

ADDRESS = "check [server.office] address, and whether the server speaks TLS there"
RENEW = "have the certificate renewed, or set this computer's clock"


def ssl_error(reason: str | None) -> ssl.SSLError:
    """An error that OpenSSL gives this reason for."""
    error = ssl.SSLError(1, "what nobody reads")
    error.reason = reason  # type: ignore[assignment]  # there is not always one
    return error


def refused(code: int, message: str = "words of OpenSSL's") -> ssl.SSLCertVerificationError:
    """A certificate refused."""
    error = ssl.SSLCertVerificationError(1, "what nobody reads")
    error.verify_code, error.verify_message = code, message
    return error


async def words(error: OSError, ca: str | None = None) -> tuple[str, str]:
    """The text, without what all have, and the remedy."""
    config = TlsConfig("proxy.test", Path(ca) if ca else None)
    problem = tls_problem(way_to(("127.0.0.1", 1080), tls=Tls(config)), error)
    assert problem.code == "server-tls"
    beginning, _, reason = problem.text.partition(": ")
    assert beginning == "no TLS with 127.0.0.1:1080"
    return reason, problem.remedy


@pytest.mark.parametrize(
    ("error", "reason", "remedy"),
    [
        (refused(10), "its certificate has expired", RENEW),
        (refused(9), "its certificate is not valid yet", RENEW),
        (
            refused(62),
            "its certificate is not for proxy.test",
            "set tls_name in [server.office] to the name that the certificate is for",
        ),
        (
            refused(64),
            "its certificate is not for proxy.test",
            "set tls_name in [server.office] to the name that the certificate is for",
        ),
        (
            refused(20),
            "nobody whom this system trusts vouches for its certificate",
            "set tls_ca in [server.office] to a file with the certificate of who does",
        ),
        (refused(23), "its certificate is refused: words of OpenSSL's", RENEW),
        (ssl.SSLEOFError(8, "EOF"), "it closed the connection", ADDRESS),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "it closed the connection", ADDRESS),
        (ssl_error("WRONG_VERSION_NUMBER"), "it answers with something else", ADDRESS),
        (
            ssl_error("TLSV1_ALERT_PROTOCOL_VERSION"),
            "it has no version that is safe still",
            "have the server updated",
        ),
        (
            ssl_error("TLSV13_ALERT_CERTIFICATE_REQUIRED"),
            "it wants a certificate of its clients, and sockslocal has none",
            "have the server let in clients without one",
        ),
        (ssl_error("SSLV3_ALERT_HANDSHAKE_FAILURE"), "sslv3 alert handshake failure", "see the server's log"),
        (ssl_error(None), "the handshake failed", "see the server's log"),
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), "connection timed out", ADDRESS),
        (OSError(), "the connection failed", ADDRESS),
    ],
)
async def test_what_is_wrong_has_a_remedy(error: OSError, reason: str, remedy: str) -> None:
    """In words that say what to do, where that can be told."""
    assert await words(error) == (reason, remedy)


async def test_a_file_of_authorities() -> None:
    """Is named where it cannot be read, or has not the right one in it."""
    assert await words(AuthoritiesError(None, "it holds no certificate"), "/ca.pem") == (
        "/ca.pem cannot be used: it holds no certificate",
        "check tls_ca in [server.office]",
    )
    assert await words(refused(18), "/ca.pem") == (
        "nobody in /ca.pem vouches for its certificate",
        "put the certificate of who does into /ca.pem",
    )
