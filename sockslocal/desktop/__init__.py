"""What the desktop does for sockslocal: it is started at login.

autostart.of_platform ──► linux.py (systemd, XDG) · macos.py (launchd) · windows.py (the registry)
"""
