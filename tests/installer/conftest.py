"""What several packages are made from; each process of the tests builds it once."""

from pathlib import Path

import pytest

from fakes import distributions as built
from fakes.distributions import Distributions


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of it."""
    return built.copy_of_checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="session")
def distributions(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """Built from the copy."""
    return built.build(checkout, tmp_path_factory.mktemp("dist"))
