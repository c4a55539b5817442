#!/usr/bin/env python3
"""Clients of the proxy that stop, leave, or stay: what they hold, and what they are told about their connection."""

import array
import contextlib
import fcntl
import pathlib
import signal
import socket
import socketserver
import termios
import threading

import harness
import proxy_rig

RESET_AT_CLOSE = b"\1\0\0\0\0\0\0\0"
VERSION = b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n"


def unsent(client):
    """Bytes that the other side has not acknowledged: an end would wait behind them."""
    count = array.array("i", [0])
    fcntl.ioctl(client, termios.TIOCOUTQ, count)
    return count[0]


class Leaving(proxy_rig.TestCase):
    def test_a_client_is_missed_while_its_body_waits_for_the_engine(self):
        """More than the engine's socket takes, which counts more than the bytes, and less than we do: an end passes."""
        size = int(pathlib.Path("/proc/sys/net/core/wmem_default").read_text())
        hung = self.enterContext(socket.socket(socket.AF_UNIX))
        hung.bind(str(self.folder() / "engine.sock"))
        hung.listen()  # connections are made, and nobody ever reads
        daemon = self.serve("h100x8-busy", "--upstream", f"unix:{hung.getsockname()}")
        for framing in ("Content-Length: 50000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n2faf080\r\n"):
            for how in ("close", "reset"):
                with self.subTest(f"{framing}, {how}"):
                    client = self.send(daemon, f"POST /echo HTTP/1.1\r\nHost: a\r\n{framing}")
                    client.sendall(b"x" * size)
                    harness.wait_until("it is there", lambda: self.traffic(daemon)["active_requests"] == 1)
                    harness.wait_until("all has left", lambda: unsent(client) == 0)
                    if how == "reset":
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
                    client.close()
                    harness.wait_until("it is over", lambda: self.traffic(daemon)["active_requests"] == 0,
                                       2 * harness.SCALE)
        aborts = {row["side"]: row["value"] for row in self.traffic(daemon)["aborts_total"]}
        self.assertEqual(aborts, {"client": 4})


class Endless(socketserver.ThreadingTCPServer):
    """An upstream whose answers do not end: in chunks, or of a length that nobody waits for."""
    daemon_threads = True
    request_queue_size = 128

    class Answer(socketserver.StreamRequestHandler):
        def handle(self):
            in_chunks = b"/chunks" in self.rfile.readline()
            field = b"Transfer-Encoding: chunked" if in_chunks else b"Content-Length: 1000000000000"
            piece = b"4000\r\n%b\r\n" % bytes(16384) if in_chunks else bytes(16384)
            with contextlib.suppress(OSError):
                self.wfile.write(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % field)
                while True:
                    self.wfile.write(piece)

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Answer)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Stopping(proxy_rig.TestCase):
    def serve_endless(self, *flags):
        engine = self.enterContext(Endless())
        self.addCleanup(engine.shutdown)
        return engine, self.serve("h100x8-busy", "--upstream", engine.url, *flags)

    def ask(self, daemon, path):
        client = self.enterContext(contextlib.closing(socket.socket()))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(harness.PATIENCE_S)
        client.connect((daemon.host, daemon.port))
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        return client

    def test_who_takes_no_byte_of_an_answer_is_given_up(self):
        _, daemon = self.serve_endless("--write-timeout", "300ms")
        client = self.ask(daemon, "/length")
        harness.wait_until("it is over", lambda: self.traffic(daemon)["active_requests"] == 0, 5 * harness.SCALE)
        self.assertEqual(daemon.get("/proxy/v1/daemon").json()["http"]["limits"]["write_timeout"], 1)
        self.assertNotEqual(proxy_rig.until_closed(client), b"")


class Staying(proxy_rig.TestCase):
    def test_the_last_answer_of_a_connection_says_so(self):
        _, daemon = self.serve_engine("--requests-per-connection-max", "2")
        client = self.send(daemon, VERSION * 3)
        answers = proxy_rig.until_closed(client)
        self.assertEqual(answers.count(b"HTTP/1.1 200"), 2)
        self.assertEqual(answers.count(b"Connection: close\r\n"), 1)

    def test_who_asks_at_the_end_is_sent_elsewhere(self):
        """A client that kept its connection would meet nothing but refusals here, and could be served by others."""
        engine, daemon = self.serve_engine()
        running = self.send(daemon, b"GET /bytes?n=1000&seed=1&chunks=20&gap_ms=100 HTTP/1.1\r\nHost: a\r\n\r\n")
        idle = self.send(daemon, VERSION)
        self.assertEqual(harness.read_response(idle, 0).status, 200)
        engine.wait("one runs", lambda state: state["requests"]["active"] == 1)
        daemon.process.send_signal(signal.SIGTERM)
        harness.wait_until("it is not ready", lambda: daemon.get("/proxy/readyz").status == 503)
        idle.sendall(VERSION)
        refused = harness.read_response(idle, 0)
        self.assertEqual((refused.status, refused.headers["Connection"]), (503, "close"))
        self.assertEqual(proxy_rig.until_closed(idle), b"")
        self.assertEqual(harness.read_response(running, 0).status, 200)
        daemon.judge(daemon.process.wait(5 * harness.SCALE), 0)


if __name__ == "__main__":
    harness.main()
