"""The end of asyncio's servers."""

import asyncio


async def stop_accepting(server: asyncio.Server) -> None:
    """What was accepted has its transport afterwards, nothing more will; `server` is still to be closed.

    asyncio makes the transport a turn after it has accepted; for a server that is closed by then it makes it
    and forgets it, open.
    """
    loop = asyncio.get_running_loop()
    for listener in server.sockets:
        loop.remove_reader(listener.fileno())
    for _ in range(3):  # the transport, its protocol is told of it, and begins a task for it
        await asyncio.sleep(0)
