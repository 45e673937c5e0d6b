"""What the fake SOCKS5 server counts, over all its connections."""


class Gauge:
    """How many there are, were at most at the same time, and have ever been."""

    def __init__(self) -> None:
        self.now = 0
        self.peak = 0
        self.total = 0

    def __repr__(self) -> str:
        return f"{self.now} now, {self.peak} at most, {self.total} in all"

    def up(self) -> None:
        self.now += 1
        self.total += 1
        self.peak = max(self.peak, self.now)

    def down(self) -> None:
        self.now -= 1


class Counts:
    """Of one server, since it was made."""

    def __init__(self) -> None:
        self.connections = Gauge()
        """TCP connections of any kind."""
        self.associations = Gauge()
        """UDP ASSOCIATE that were granted, until their relays are gone."""
        self.streams = Gauge()
        """TCP connections that carry datagrams."""
        self.datagrams = 0
        """From clients, on relays and streams."""
