"""The icon as a StatusNotifierItem: what today's Linux panels show, spoken over D-Bus without a toolkit.

`icon.Icon` is a backend of pystray. The rest is its parts: `bus` carries messages, `objects` answers calls,
`item` and `dbusmenu` are the two objects that a panel sees, `notifications` asks for pop-ups.
"""
