"""Which ways there are on which platform, the best first."""

import sys
from collections.abc import Sequence

from sockslocal.system_dns.backend import Backend
from sockslocal.system_dns.system import System


def of(system: System, platform: str = sys.platform) -> Sequence[Backend]:
    """The ways of `platform`."""
    if platform == "darwin":
        from sockslocal.system_dns.macos import Scutil

        return (Scutil(system),)
    if platform == "win32":
        from sockslocal.system_dns.windows import Nrpt

        return (Nrpt(system),)
    from sockslocal.system_dns.network_manager import NetworkManager
    from sockslocal.system_dns.plain import Plain
    from sockslocal.system_dns.resolved import Resolved

    return Resolved(system), NetworkManager(system), Plain(system)
