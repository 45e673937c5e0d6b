"""Certificates as a test needs them, made by `openssl` when they are asked for."""

import subprocess
from pathlib import Path
from typing import NamedTuple

NAME = "proxy.test"
"""Whom certificates are for where a test does not say."""

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Certificate(NamedTuple):
    """The files of a certificate and its key."""

    chain: Path
    key: Path


class Authority:
    """Who vouches for the certificates that it issues, in `folder`; `ca` is its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ca = folder / "ca.pem"
        self._key = folder / "ca.key"
        subject = ("-subj", "/CN=test authority", "-days", "2")
        self._openssl("req", "-x509", *_KEY, "-keyout", str(self._key), "-out", str(self.ca), *subject)

    def issue(self, *names: str, days: int = 2) -> Certificate:
        """A certificate for `names`, which are hosts and IP addresses; with days below 0 an expired one."""
        wanted = names or (NAME, "127.0.0.1")
        kinds = (f"{'IP' if name[0].isdigit() else 'DNS'}:{name}" for name in wanted)
        stem = f"{wanted[0]}{days}"
        request, chain, key = (self._folder / f"{stem}.{kind}" for kind in ("csr", "pem", "key"))
        self._openssl(
            *("req", "-new", *_KEY, "-keyout", str(key), "-out", str(request), "-subj", "/CN=leaf"),
            *("-addext", f"subjectAltName={','.join(kinds)}"),
        )
        self._openssl(
            *("x509", "-req", "-in", str(request), "-CA", str(self.ca), "-CAkey", str(self._key)),
            *("-CAcreateserial", "-copy_extensions", "copyall", "-days", str(days), "-out", str(chain)),
        )
        return Certificate(chain, key)

    def _openssl(self, *words: str) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=30)
