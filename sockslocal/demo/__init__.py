"""`sockslocal demo`: a SOCKS5 server, something behind it, and a daemon in between, all on this machine.

    run.py       from the empty temporary folder to the commands to try next
    traffic.py   what is sent along each path
    stage.py     server and targets, in a thread of their own
    server.py    the SOCKS5 server; its connections end up in relay.py, its datagrams in association.py
    network.py   the names and addresses behind the server
    targets.py   what answers there; its DNS zone is in zone.py

Nothing here is part of the daemon: the demo starts one, as a user would.
"""
