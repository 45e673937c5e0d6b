"""Texts and pictures as D-Bus has them. The bus throws out who sends it a text that is none."""

from typing import Protocol

from PIL import Image

MAX_TEXT = 2_000  # characters, far more than any panel shows

SIZES = (16, 22, 24, 32, 48)
"""Pixels: what panels ask for, at one and two device pixels each."""

Pixmap = tuple[int, int, bytes]


class Drawing(Protocol):
    """An icon that is drawn for the size it is asked for."""

    def at(self, size: int) -> Image.Image:
        """The icon as a square of `size` pixels."""


def text(value: str) -> str:
    """`value` without what UTF-8 and D-Bus have no place for."""
    return value[:MAX_TEXT].replace("\0", "").encode(errors="replace").decode()


def pixmaps(icon: Image.Image | Drawing) -> list[Pixmap]:
    """The icon in all SIZES: ARGB, one octet each, rows from the top (StatusNotifierItem, Icons)."""
    return [_pixmap(_drawn(icon, size)) for size in SIZES]


def image_data(icon: Image.Image | Drawing) -> tuple[int, int, int, bool, int, int, bytes]:
    """The icon as a notification has it: `image-data` of the Desktop Notifications Specification."""
    rgba = _drawn(icon, SIZES[-1])
    return (rgba.width, rgba.height, rgba.width * 4, True, 8, 4, rgba.tobytes())


def _drawn(icon: Image.Image | Drawing, size: int) -> Image.Image:
    if isinstance(icon, Image.Image):
        return icon.convert("RGBA").resize((size, size))
    return icon.at(size).convert("RGBA")


def _pixmap(rgba: Image.Image) -> Pixmap:
    red, green, blue, alpha = rgba.split()
    return (rgba.width, rgba.height, Image.merge("RGBA", (alpha, red, green, blue)).tobytes())
