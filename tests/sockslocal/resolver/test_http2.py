"""What `http2` has for itself; the tests of `ask_https` have the rest, before a server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockslocal.resolver.errors import LostError
from sockslocal.resolver.http2 import FRAME_HEADER, MAX_FRAME, FrameLengths


def frame(length: int) -> bytes:
    """One of nothing but zeros."""
    return length.to_bytes(3, "big") + bytes(FRAME_HEADER - 3 + length)


@given(st.lists(st.integers(0, 60)), st.integers(1, 40))
def test_frames_in_any_pieces(lengths: list[int], size: int) -> None:
    """Those that may be pass, wherever they are cut; the first that may not is seen by its header."""
    frames = FrameLengths()
    octets = b"".join(map(frame, [*lengths, MAX_FRAME]))
    for at in range(0, len(octets), size):
        frames.check(octets[at : at + size])
    header = frame(MAX_FRAME + 1)[:FRAME_HEADER]
    frames.check(header[:-1])
    with pytest.raises(LostError, match="a frame is too long"):
        frames.check(header[-1:])
