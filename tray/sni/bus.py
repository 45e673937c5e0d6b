"""The connection to the session bus."""


class BusLostError(ConnectionError):
    """There is no session bus, or it went away: most often because the session ended."""
