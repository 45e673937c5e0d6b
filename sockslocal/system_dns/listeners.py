"""Whose a listening port is, by /proc/net/tcp (Linux).

Pure: its text in, users out. A port from 1024 on is anybody's to listen on; the helper sends the names that
the whole machine asks for only to one that the person who called it holds.
"""

_LISTEN = "0A"
_LOOPBACK, _ANY = "0100007F", "00000000"


def owners(table: str, port: int) -> set[int]:
    """The users that listen on 127.0.0.1:`port`, also by listening on every address."""
    found = set()
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8 or fields[3] != _LISTEN:
            continue
        address, _, number = fields[1].partition(":")
        if address in (_LOOPBACK, _ANY) and int(number, 16) == port:
            found.add(int(fields[7]))
    return found
