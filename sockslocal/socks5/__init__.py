"""SOCKS5 (RFC 1928, RFC 1929): bytes in, bytes out; no socket, no clock.

    client    what a client says to a server          messages  numbers and addresses, shared by all
    server    what a server says to a client          errors    what can go wrong, as a tree
    datagram  the header in front of a UDP payload
"""
