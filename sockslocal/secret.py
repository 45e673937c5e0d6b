"""A password that does not show itself."""

from sockslocal import log


class Secret:
    """Text that is never printed: `repr`, `str`, formatting, pickling and JSON show no part of it.

    Making one also has it removed from every log line to come, tracebacks included (`log.conceal`).
    Python cannot wipe memory, so the text lives in the process until it is collected.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text
        log.conceal(text)

    def reveal(self) -> str:
        """The text itself; only the code that puts it on the wire or in the keyring calls this."""
        return self._text

    def __repr__(self) -> str:
        return "•••"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")
