"""Makes what stands behind a SOCKS5 server look local."""

__version__ = "0.1.0"
