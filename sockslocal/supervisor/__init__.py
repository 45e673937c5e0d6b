"""Makes what is come true to what is wanted: the configuration and the user's switches.

config, switches ──► Supervisor ──► servers (each with its login), services (forwards, resolver)
                         └──► Status
"""

from sockslocal.supervisor.supervisor import Supervisor
from sockslocal.supervisor.switches import Switches

__all__ = ["Supervisor", "Switches"]
