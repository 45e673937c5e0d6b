"""The packages that are installed here as wheels again: what installs them then needs no network."""

import sys
import zipfile
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_OF_THE_INSTALLATION = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}


def needed_by(requirements: Iterable[str]) -> set[str]:
    """The names of the packages that meet `requirements` on this machine, and of all that they need."""
    found: set[str] = set()
    unread = [*requirements]
    while unread:
        requirement = Requirement(unread.pop())
        name = canonicalize_name(requirement.name)
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if wanted and name not in found:
            found.add(name)
            unread += requires(name) or ()
    return found


def repack(names: Iterable[str], folder: Path) -> Path:
    """A wheel of each in `folder`, as it is installed in this environment."""
    folder.mkdir(exist_ok=True)
    for name in names:
        _repack(distribution(name), folder)
    return folder


def _repack(package: Distribution, folder: Path) -> None:
    name = canonicalize_name(package.metadata["Name"]).replace("-", "_")
    stem = f"{name}-{package.version}"
    with zipfile.ZipFile(folder / f"{stem}-{_tag(package)}.whl", "w") as wheel:
        record = []
        for file in package.files or ():
            if file.name in _OF_THE_INSTALLATION or ".." in file.parts or file.suffix == ".pyc":
                continue  # its scripts are made anew
            wheel.write(str(file.locate()), str(file))
            record.append(f"{file},,\n")
        information = next(file.parent for file in package.files or () if file.name == "METADATA")
        wheel.writestr(f"{information}/RECORD", "".join(record) + f"{information}/RECORD,,\n")


def _tag(package: Distribution) -> str:
    """What it was built for, as in the name of its file: the last and so the least demanding."""
    lines = (package.read_text("WHEEL") or "").splitlines()
    tags = [line.partition(": ")[2] for line in lines if line.startswith("Tag: ")]
    assert tags, f"{sys.prefix} has {package.metadata['Name']} from no wheel"
    return tags[-1]
