"""What runs here: for whoever reads a report of an error."""

import importlib.metadata
import platform

from sockslocal import __version__
from sockslocal.doctor.report import Check, Section
from sockslocal.doctor.scene import Scene

_PACKAGES = ("dnspython", "h2", "jeepney", "keyring", "msgspec", "psutil", "pystray")
_ELSEWHERE = {"jeepney"}  # only Linux has it


def section(_scene: Scene) -> Section:
    """Nothing is judged but what is missing."""
    here = f"Python {platform.python_version()}, {platform.platform()}"
    checks = (
        Check("versions.sockslocal", "sockslocal", "good", __version__),
        Check("versions.system", "System", "good", here),
        _packages(),
    )
    return Section("versions", "Versions", checks)


def _packages() -> Check:
    found, missing = [], []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing += [name] if name not in _ELSEWHERE else []
    if missing:
        text = f"{', '.join(missing)} cannot be found"
        return Check("versions.packages", "Packages", "note", text, "install sockslocal anew")
    return Check("versions.packages", "Packages", "good", ", ".join(found))
