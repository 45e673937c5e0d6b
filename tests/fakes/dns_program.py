"""A program that answers DNS messages on a port of 127.0.0.1 or of HOST, which it prints first.

    python -m fakes.dns_program [PORT [HOST ADDRESS]]

Every name has the address 192.0.2.55, or ADDRESS, and no other; what is no query is NOTIMP.
"""

import ipaddress
import socketserver
import sys
import threading

_A = b"\0\1\0\1"
_RECORD = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4"


def answer(message: bytes, address: bytes) -> bytes:
    """What is answered to `message`."""
    if message[2] & 0x78:
        return message[:2] + b"\x90\x04" + bytes(8)
    question = message[12 : message.index(b"\0", 12) + 5]
    records = _RECORD + address if question.endswith(_A) else b""
    return message[:2] + b"\x81\x80\0\1\0" + bytes((bool(records), 0, 0, 0, 0)) + question + records


class Answer(socketserver.BaseRequestHandler):
    """One connection, to its end."""

    address = bytes((192, 0, 2, 55))

    def handle(self) -> None:
        while head := self.request.recv(2):
            reply = answer(self.request.recv(int.from_bytes(head, "big")), self.address)
            self.request.sendall(len(reply).to_bytes(2, "big") + reply)


class AnswerDatagram(socketserver.BaseRequestHandler):
    """One datagram."""

    def handle(self) -> None:
        message, sock = self.request
        sock.sendto(answer(message, Answer.address), self.client_address)


class Server(socketserver.ThreadingTCPServer):
    """Ends with its process, whatever its connections do."""

    allow_reuse_address = True
    daemon_threads = True


def main(port: str = "0", host: str = "127.0.0.1", address: str = "192.0.2.55") -> None:
    """Until it is killed."""
    Answer.address = ipaddress.IPv4Address(address).packed
    with (
        Server((host, int(port)), Answer) as streams,
        socketserver.UDPServer(streams.server_address, AnswerDatagram) as datagrams,
    ):
        threading.Thread(target=datagrams.serve_forever, daemon=True).start()
        print(streams.server_address[1], flush=True)
        streams.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
