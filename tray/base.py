"""What all of pystray's backends share, imported without letting pystray choose one.

Its own choice, made on import, wants a display and fails in ways that are no ImportError.
"""

import os

_chosen = os.environ.get("PYSTRAY_BACKEND")
os.environ["PYSTRAY_BACKEND"] = "dummy"
try:
    from pystray._base import Icon, Menu, MenuItem
finally:  # children inherit the environment
    del os.environ["PYSTRAY_BACKEND"]
    if _chosen is not None:
        os.environ["PYSTRAY_BACKEND"] = _chosen

__all__ = ["Icon", "Menu", "MenuItem"]
