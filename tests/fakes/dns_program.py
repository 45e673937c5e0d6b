"""A program that answers DNS messages over TCP with NOTIMP, on a port of 127.0.0.1 that it prints first."""

import socketserver


class Answer(socketserver.BaseRequestHandler):
    """One connection, to its end."""

    def handle(self) -> None:
        while head := self.request.recv(2):
            message = self.request.recv(int.from_bytes(head, "big"))
            self.request.sendall(head + message[:2] + b"\x90\x04" + message[4:])


class Server(socketserver.ThreadingTCPServer):
    """Ends with its process, whatever its connections do."""

    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    with Server(("127.0.0.1", 0), Answer) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()
