"""An upstream that stops reading in the middle of a body, answers or ends, and then reads on as if nothing had been."""

import array
import contextlib
import fcntl
import re
import socket
import termios
import threading
import time

import harness

QUIET_S = 0.02  # what has not grown for so long is full


class DeafUpstream:
    """On a Unix socket, whose buffers do not grow. Requests other than for /first get their own name for an answer."""

    def __init__(self, folder, reaction):
        self.reaction = reaction  # "answer" or "close": what it does when no more of a body for /first fits
        self.address = f"unix:{folder}/socket"
        self.seen = []
        self.sizes = []  # of the bodies for /first that have come whole
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{folder}/socket")
        self._listener.listen()
        self._connections = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        for one in [self._listener, *self._connections]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        data = b""
        with contextlib.suppress(OSError):
            while True:
                while b"\r\n\r\n" not in data:
                    if not (more := connection.recv(2048)):
                        return
                    data += more
                head, _, data = data.partition(b"\r\n\r\n")
                target = head.split(b" ")[1].decode("latin-1")
                self.seen.append(target)
                if target != "/first":
                    self._answer(connection, b"200 OK", target.encode())
                    continue
                self._wait_full(connection)
                if self.reaction == "close":
                    return connection.close()
                self._answer(connection, b"401 Unauthorized", b"no")
                data = self._rest(connection, head, data)

    @staticmethod
    def _answer(connection, status, body):
        connection.sendall(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))

    @staticmethod
    def _wait_full(connection):
        waiting, since = -1, time.monotonic()
        deadline = since + harness.PATIENCE_S
        while time.monotonic() < min(since + QUIET_S * harness.SCALE, deadline):
            count = array.array("i", [0])
            fcntl.ioctl(connection, termios.FIONREAD, count)
            if count[0] != waiting:
                waiting, since = count[0], time.monotonic()
            time.sleep(0.001)

    def _rest(self, connection, head, data):
        """Reads the body to its end; what follows is the next request."""
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        while (size := int(length.group(1)) if length else data.find(b"\r\n0\r\n\r\n") + 7) > len(data) or size == 6:
            if not (more := connection.recv(65536)):
                raise OSError("the body broke off")
            data += more
        self.sizes.append(size)
        return data[size:]
