from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fakes.control import short_paths
from sockslocal.config import load
from sockslocal.doctor.scene import Scene
from sockslocal.paths import Paths
from sockslocal.problems import problem


@pytest.fixture
def paths() -> Iterator[Paths]:
    """Places of the test's own, with nothing in them."""
    with short_paths() as places:
        yield places


@pytest.fixture
def scene(paths: Paths) -> Callable[..., Scene]:
    """Makes a scene of the text of a configuration; without a status no daemon runs."""

    def make(text: str = "", **changes: Any) -> Scene:
        paths.config.write_text(text)
        config, faults = load.check(paths.config)
        parts = {"status": None, "absence": problem("not-running"), **changes}
        return Scene(paths, config, tuple(faults), **parts)

    return make
