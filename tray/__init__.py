"""The system-tray icon: a face of the daemon, in a process of its own."""
