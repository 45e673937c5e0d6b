"""The keys that the configuration may have."""

RULE = '"udp://10.0.0.2"'
"""How what a name of `[dns.rules]` is given may be written."""

KEYS: dict[str, dict[str, str]] = {
    "server": {
        "address": '"proxy.example.net:1080"',
        "username": '"ana"',
        "password_from": '"keyring"',
        "udp": '"auto"',
        "udp_address": '"proxy.example.net"',
        "udp_probe": '"9.9.9.9:53"',
        "tls": "true",
        "tls_name": '"proxy.example.net"',
        "tls_ca": '"/etc/ssl/office-ca.pem"',
        "connect_timeout": '"10s"',
    },
    "tcp": {
        "listen": '"127.0.0.1:5432"',
        "to": '"db.internal:5432"',
        "server": '"office"',
        "enabled": "true",
        "only_me": "true",
        "allow_lan": "true",
    },
    "udp": {
        "listen": '"127.0.0.1:27015"',
        "to": '"203.0.113.9:27015"',
        "server": '"office"',
        "enabled": "true",
        "idle": '"60s"',
        "share": '"auto"',
        "allow_lan": "true",
    },
    "dns": {
        "listen": '"127.0.0.1:5399"',
        "upstreams": '["udp://9.9.9.9"]',
        "ca": '"/etc/ssl/office-ca.pem"',
        "server": '"office"',
        "enabled": "true",
        "cache": '"16 MB"',
        "stale": '"1d"',
        "prefetch": "true",
        "keep": "true",
        "allow_lan": "true",
        "rules": '{ "corp.example" = "udp://10.0.0.2" }',
        "hosts": '"/etc/hosts"',
        "block_lists": '["/etc/sockslocal/ads.txt"]',
        "blocked": '"nxdomain"',
        "rebind_protection": "true",
        "filter_aaaa": "true",
    },
    "limits": {
        "associations": "64",
        "flows_per_association": "256",
        "flows": "4096",
        "waiting": "256",
    },
}
"""Every section, the keys it may hold, and how each is written."""
