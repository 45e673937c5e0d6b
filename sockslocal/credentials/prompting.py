"""Asking a keyring whether it would prompt, before anything is asked that does.

A daemon must not make a window pop up, and a prompt that nobody sees blocks for ever.
"""

from contextlib import closing

from keyring.backend import KeyringBackend

from sockslocal.credentials.failures import locked, missing
from sockslocal.credentials.messages import Request


def guard_secret_service(request: Request, backend: KeyringBackend) -> None:
    """Raise `needs-unlock` where the collection or the item is locked, `password-missing` without collection.

    A collection that does not exist would be created, with a prompt for its new password. KeePassXC
    locks single items of an unlocked collection.
    """
    import secretstorage
    from secretstorage.collection import DEFAULT_COLLECTION

    with closing(secretstorage.dbus_init()) as bus:
        try:
            path = getattr(backend, "preferred_collection", DEFAULT_COLLECTION)
            collection = secretstorage.Collection(bus, path)
            if collection.is_locked():
                raise locked(request)
            query = {"service": request.service, "username": request.username}
            items = list(collection.search_items(query))
        except secretstorage.ItemNotFoundException:
            raise missing(request) from None
        if items and items[0].is_locked():
            raise locked(request)


def guard_kwallet(request: Request, backend: KeyringBackend) -> None:
    """Raise `needs-unlock` where the wallet is closed."""
    import jeepney
    from jeepney.io.blocking import open_dbus_connection
    from jeepney.wrappers import unwrap_msg

    names = {"object_path": backend.object_path, "bus_name": backend.bus_name}  # type: ignore[attr-defined]
    wallets = jeepney.DBusAddress(**names, interface="org.kde.KWallet")
    with open_dbus_connection() as bus:
        call = jeepney.new_method_call(wallets, "networkWallet")
        (wallet,) = unwrap_msg(bus.send_and_get_reply(call))
        call = jeepney.new_method_call(wallets, "isOpen", "s", (wallet,))
        (is_open,) = unwrap_msg(bus.send_and_get_reply(call))
    if not is_open:
        raise locked(request)
