"""Whether there is a panel that shows StatusNotifierItems."""


def appears(within: float = 0.0) -> bool:
    """Whether a panel is there, or comes within so many seconds. Raises BusLostError without a session bus."""
    raise NotImplementedError
