"""How the outside talks to the daemon: one JSON object a line over a socket that only its user can use.

Faces (command line, tray, dashboard) import `client` and `messages`, never the rest.
"""
