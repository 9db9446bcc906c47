"""A backend that is none: it notes what reaches it, and says nothing."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Self


class StubBackend:
    """
    Listens on loopback and keeps every byte that it is sent, by connection.

    Args:
        silent: Keep the connection open, instead of closing it behind a packet.

    Attributes:
        port: Where it listens.
        received: What came, one entry for each connection that has ended.

    """

    def __init__(self, *, silent: bool = False) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = int(self._listening.getsockname()[1])
        self.received: list[bytes] = []
        self._silent = silent
        self._arrived = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def conninfo(self) -> str:
        """Where it is, for ``pgproxy.backend_conninfo``."""
        return f"host=127.0.0.1 port={self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        # A thread that waits in accept is not woken by a close.
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()

    def wait_for_client(self) -> None:
        """Return when a packet is there."""
        assert self._arrived.wait(20)

    def _serve(self) -> None:
        for client in self._clients():
            with client:
                self.received.append(self._read_packet(client))
                self._arrived.set()
                if self._silent:
                    self._read_to_the_end(client)

    def _read_to_the_end(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while client.recv(65536):
                pass

    def _clients(self) -> Iterator[socket.socket]:
        while True:
            try:
                client, _address = self._listening.accept()
            except OSError:
                return
            client.settimeout(5)
            yield client

    def _read_packet(self, client: socket.socket) -> bytes:
        """Read a start-up packet, and whatever came with it; then close."""
        data = b""
        with contextlib.suppress(OSError):
            while len(data) < 4 or len(data) < int.from_bytes(data[:4]):
                chunk = client.recv(65536)
                if not chunk:
                    break
                data += chunk
        return data
