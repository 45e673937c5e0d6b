import pytest
from PIL import Image

from sockslocal_tray.sni.values import MAX_TEXT, SIZES, image_data, pixmaps, text

YELLOW = (255, 255, 0, 200)


class Drawn:
    """Has its size as its shade of red."""

    def at(self, size: int) -> Image.Image:
        """A square."""
        return Image.new("RGB", (size, size), (size, 0, 0))


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("42 ms · ✓", "42 ms · ✓"),
        ("a\0b", "ab"),
        ("lone \ud800 half", "lone ? half"),
        ("x" * (MAX_TEXT + 1), "x" * MAX_TEXT),
    ],
)
def test_texts(given: str, sent: str) -> None:
    """What the bus would throw us out for is taken out."""
    assert text(given) == sent


def test_pixmaps_of_a_picture() -> None:
    """One for each size, alpha first, as network byte order has it."""
    found = pixmaps(Image.new("RGBA", (64, 64), YELLOW))
    assert [(width, height) for width, height, _ in found] == [(size, size) for size in SIZES]
    assert all(data == bytes((200, 255, 255, 0)) * size**2 for size, _, data in found)


def test_pixmaps_of_a_drawing() -> None:
    """It is drawn for each size, not scaled; what is not see-through is opaque."""
    assert [data[:4] for _, _, data in pixmaps(Drawn())] == [bytes((255, size, 0, 0)) for size in SIZES]


def test_the_picture_of_a_notification() -> None:
    """The largest; red first, and the numbers that say so."""
    width, height, stride, has_alpha, bits, channels, data = image_data(Image.new("RGBA", (64, 64), YELLOW))
    assert (width, height, stride, has_alpha, bits, channels) == (48, 48, 48 * 4, True, 8, 4)
    assert data == bytes(YELLOW) * 48 * 48
