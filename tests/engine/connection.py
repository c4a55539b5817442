"""One connection of a client: bytes in and out, and at once the news that the peer is gone."""

import asyncio
import select
import socket
import struct
import time

import message

READ_BUFFER_BYTES = 65536  # as uvicorn: reading pauses above this, which is the backpressure on uploads
PROBE_SECONDS = 0.005


class Gone(Exception):
    """The peer closed the connection, or half of it, which uvicorn takes for the same."""


class Connection(asyncio.Protocol):
    """`serve(connection)` is the coroutine that answers; it is cancelled when the peer goes away in an exchange."""

    def __init__(self, number, book, serve, counted=True):
        self.number = number
        self.book = book
        self.is_idle = True
        self.gone_ns = None
        self.requests = 0
        self.exchange = None
        self._serve = serve
        self._counted = counted
        self._buffer = bytearray()
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._reading = True

    # The side of the event loop.

    def connection_made(self, transport):
        self.transport = transport
        self.socket = transport.get_extra_info("socket")
        if self._counted:
            self.book.connection_opened(self)
        self._task = asyncio.get_running_loop().create_task(self._run())

    def data_received(self, data):
        self._buffer += data
        if self._counted:
            self.book.received_bytes += len(data)
        if len(self._buffer) > READ_BUFFER_BYTES:
            self._set_reading(False)
        self._news.set()

    def eof_received(self):
        self._peer_is_gone()
        return False

    def connection_lost(self, error):
        self._peer_is_gone()
        self._writable.set()
        self.book.open.discard(self)

    def pause_writing(self):
        self._writable.clear()

    def resume_writing(self):
        self._writable.set()

    def _peer_is_gone(self):
        if self.gone_ns is not None:
            return
        self.gone_ns = time.monotonic_ns()
        self._news.set()
        if not self.is_idle:
            self._task.cancel()

    async def _run(self):
        try:
            await self._serve(self)
        except Gone:
            pass
        except asyncio.CancelledError:
            if self.gone_ns is None:
                raise
        finally:
            self.close()

    # The side of the one who answers.

    def not_counted(self):
        self._counted = False
        self.book.connection_is_not_counted(self)

    def refresh_record(self):
        """The figures of a body that is still being read."""
        if self.exchange is not None:
            self.exchange.record.take_body(self.exchange.body)

    def begin(self, exchange):
        """From here on a lost connection cancels; one that is lost already counts at once."""
        self.exchange = exchange
        self.is_idle = False
        self.check_peer()

    def end(self):
        self.refresh_record()
        self.exchange = None
        self.is_idle = True

    def check_peer(self):
        if self.gone_ns is not None:
            raise Gone

    async def read_head(self, idle_seconds):
        """None when the connection ended or was idle for too long; there is no limit once a head has begun."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > message.HEAD_BYTES_MAX:
                raise message.Malformed("head too large")
            try:
                await asyncio.wait_for(self._more(), None if self._buffer else idle_seconds)
            except (Gone, asyncio.TimeoutError):
                if self._buffer:
                    self.book.saw_malformed("ended within a head", self._buffer)
                return None
        while self._buffer.startswith(b"\r\n"):
            del self._buffer[:2]
            end -= 2
        return self._take(end + 4)

    async def read_some(self, count_max):
        while not self._buffer:
            await self._more()
        return self._take(min(count_max, len(self._buffer)))

    async def read_line(self, count_max):
        """Without its end, which is CR LF."""
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > count_max:
                raise message.Malformed("line too long")
            await self._more()
        return self._take(end + 2)[:-2]

    def write(self, data):
        """A write that fails closes the transport at once. The event loop tells of it at its next turn, which it
        does not get from one who writes on and on."""
        if self.transport.is_closing():
            self.gone_ns = self.gone_ns or time.monotonic_ns()
            raise Gone
        self.transport.write(data)
        if self._counted:
            self.book.sent_bytes += len(data)

    async def drain(self):
        await self._writable.wait()
        self.check_peer()

    def close(self):
        self.transport.close()

    def reset(self):
        """RST instead of FIN, where the socket knows the difference."""
        if self.socket.family != socket.AF_UNIX:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def stop_reading(self):
        """Whatever has arrived stays unread, and the peer's writes come to rest."""
        self._set_reading(False)

    async def until_gone(self):
        """While nothing is read the event loop does not tell; the socket does."""
        probe = select.poll()
        probe.register(self.socket.fileno(), select.POLLRDHUP)
        while self.gone_ns is None and not probe.poll(0):
            await asyncio.sleep(PROBE_SECONDS)
        self.gone_ns = self.gone_ns or time.monotonic_ns()
        raise Gone

    async def _more(self):
        """Until more bytes have come."""
        self._news.clear()
        self._set_reading(True)
        self.check_peer()
        await self._news.wait()
        if self.gone_ns is not None and not self._buffer:
            raise Gone

    def _take(self, count):
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        if len(self._buffer) <= READ_BUFFER_BYTES:
            self._set_reading(True)
        return data

    def _set_reading(self, wanted):
        if self._reading == wanted or self.transport.is_closing():
            return
        self._reading = wanted
        (self.transport.resume_reading if wanted else self.transport.pause_reading)()
