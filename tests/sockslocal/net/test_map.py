import re
from pathlib import Path

from sockslocal import net


def test_the_map_names_every_module() -> None:
    """Who opens the package reads where everything is, and of nothing that is gone."""
    assert net.__doc__
    assert net.__file__
    there = {path.name for path in Path(net.__file__).parent.glob("*.py")} - {"__init__.py"}
    assert set(re.findall(r"\w+\.py", net.__doc__)) == there
