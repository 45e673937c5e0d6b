"""How the addresses of a forward are shown."""


def joined(addresses: tuple[object, ...]) -> str:
    """The address, or the first and the last of a range."""
    first, last = str(addresses[0]), str(addresses[-1])
    return first if len(addresses) == 1 else f"{first} … {last}"
