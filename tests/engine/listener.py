"""The address that clients connect to, and the ways in which it can be out of service."""

import asyncio
import contextlib
import errno
import os
import pathlib
import socket

BACKLOG = 4096
FILLERS_MAX = 8
# open; refused: bound, but nobody listens, as vLLM while a model loads; full: connecting hangs; missing: there is no
# such Unix socket; silent: accepted, and never a byte; close, reset: accepted and ended at once.
MODES = ("open", "refused", "full", "missing", "silent", "close", "reset")
ACCEPTING = ("open", "silent", "close", "reset")


class Listener:
    def __init__(self, address, make_connection, tls=None):
        self.mode = "open"
        self._address = address
        self._make_connection = make_connection
        self._tls = tls
        self._server = None
        self._bound = None
        self._fillers = []

    @property
    def address(self):
        return self._address if isinstance(self._address, str) else "%s:%d" % self._address[:2]

    async def set_mode(self, mode):
        if mode not in MODES:
            raise ValueError(f"there is no mode {mode!r}")
        self._stop()
        self.mode = mode
        if mode == "missing":
            return
        self._bind()
        if mode == "full":
            self._fill()
        elif mode in ACCEPTING:
            self._server = await asyncio.get_running_loop().create_server(
                self._make_connection, sock=self._bound, backlog=BACKLOG, ssl=self._tls)

    def _bind(self):
        if isinstance(self._address, str):
            self._bound = socket.socket(socket.AF_UNIX)
        else:
            family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
            # By name: asyncio disables Nagle's algorithm, as uvicorn's loops do, only where it sees that this is TCP.
            self._bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            self._bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._bound.bind(self._address)
        self._address = self._bound.getsockname()

    def _fill(self):
        """A queue of length zero and nobody who takes from it: the kernel drops further connections."""
        self._bound.listen(0)
        for _ in range(FILLERS_MAX):
            filler = socket.socket(self._bound.family)
            filler.setblocking(False)
            self._fillers.append(filler)
            if filler.connect_ex(self._address) == errno.EAGAIN:
                break

    def _stop(self):
        if self._server is not None:
            self._server.close()
        elif self._bound is not None:
            self._bound.close()
        for filler in self._fillers:
            filler.close()
        self._server, self._bound, self._fillers = None, None, []
        if isinstance(self._address, str):
            with contextlib.suppress(FileNotFoundError):
                pathlib.Path(self._address).unlink()

    def stop(self):
        self._stop()


def parse_address(text):
    """HOST:PORT, [V6]:PORT or a path."""
    if os.sep in text:
        return text
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)
