#!/usr/bin/env python3
"""gputach probe: what it asks, what it makes of the answer, and that nothing makes it wait longer than its deadline."""

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
import time

import harness

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class ProbeTestCase(harness.TestCase):
    @contextlib.contextmanager
    def answering(self, *pieces, family=socket.AF_INET, address=("127.0.0.1", 0), context=None):
        """A server that takes one connection, reads a request, sends the pieces and waits for the client to go."""
        server = socket.create_server(address, family=family) if family != socket.AF_UNIX else socket.socket(family)
        if family == socket.AF_UNIX:
            server.bind(address)
            server.listen()
        server.settimeout(harness.PATIENCE_S)
        asked = []

        def serve():
            with contextlib.suppress(OSError):
                client, _ = server.accept()
                client.settimeout(harness.PATIENCE_S)
                with (context.wrap_socket(client, server_side=True) if context else client) as stream:
                    request = b""
                    while b"\r\n\r\n" not in request and (more := stream.recv(65536)):
                        request += more
                    asked.append(request)
                    for piece in pieces:
                        stream.sendall(piece)
                    if pieces[-1:] != (b"",):
                        stream.recv(1)  # until the client has gone

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname(), asked
        finally:
            server.close()
            thread.join(harness.PATIENCE_S)
            self.assertFalse(thread.is_alive())

    def probe(self, *arguments):
        return harness.run_gputach("probe", *arguments)

    def assert_good(self, run):
        self.assertEqual((run.returncode, run.stdout, run.stderr), (0, "", ""))

    def assert_bad(self, run, why, status=1):
        self.assertEqual((run.returncode, run.stdout), (status, ""), run.stderr)
        self.assertRegex(run.stderr, r"\Agputach: [^\n]+\n\Z")
        self.assertIn(why, run.stderr)

    def probe_server(self, *pieces, arguments=(), **more):
        with self.answering(*pieces, **more) as (address, _):
            return self.probe(f"http://127.0.0.1:{address[1]}/", *arguments)


class Answers(ProbeTestCase):
    def test_the_daemon_is_well(self):
        daemon = self.serve(listen="127.0.0.1:0")
        self.assert_good(self.probe(f"http://127.0.0.1:{daemon.port}/proxy/healthz"))
        self.assert_good(self.probe(f"http://localhost:{daemon.port}/proxy/healthz"))
        self.assert_bad(self.probe(f"http://127.0.0.1:{daemon.port}/proxy/nope"), "/proxy/nope: answered 404")

    def test_a_daemon_without_gpus_answers_500(self):
        daemon = self.serve("no-gpus")
        harness.wait_until("an answer", lambda: daemon.get().status == 500)
        self.assert_bad(self.probe(f"http://127.0.0.1:{daemon.port}/proxy/stats", "--timeout", "10s"), "answered 500")

    def test_2xx_and_3xx_are_good(self):
        for status in (200, 204, 299, 302, 399):
            self.assert_good(self.probe_server(b"HTTP/1.1 %d x\r\n\r\n" % status))
        for status in (400, 404, 500, 503, 999):
            self.assert_bad(self.probe_server(b"HTTP/1.1 %d x\r\n\r\n" % status), f"answered {status}")

    def test_an_answer_may_come_in_any_pieces_and_after_interim_ones(self):
        answer = b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + GOOD
        self.assert_good(self.probe_server(*(answer[i : i + 1] for i in range(len(answer)))))

    def test_what_is_no_answer_is_bad(self):
        self.assert_bad(self.probe_server(b"SSH-2.0-OpenSSH\r\n"), "the answer is not HTTP/1")
        self.assert_bad(self.probe_server(b"HTTP/1.1 200", b""), "ends before its status")
        self.assert_bad(self.probe_server(b""), "ends before its status")
        self.assert_bad(self.probe_server(b"HTTP/1.1 100 x\r\nA: " + b"a" * 20000), "ends before its status")

    def test_headers_are_sent(self):
        with self.answering(GOOD) as (address, asked):
            url = f"http://127.0.0.1:{address[1]}/x?y"
            self.assert_good(self.probe(url, "--header", "A: 1", "--header", "Host: h"))
        self.assertEqual(asked, [b"GET /x?y HTTP/1.1\r\nHost: h\r\nUser-Agent: gputach-probe\r\nConnection: close\r\n"
                                 b"A: 1\r\n\r\n"])

    def test_a_token_opens_what_asks_for_it(self):
        token = self.folder() / "token"
        token.write_text("secret\n")
        daemon = self.serve("h100x8-busy", "--token-files", f"read={token}")
        url = f"http://127.0.0.1:{daemon.port}/proxy/version"
        self.assert_bad(self.probe(url), "answered 401")
        self.assert_good(self.probe(url, "--header", "Authorization: Bearer secret"))

    def test_nobody_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        self.assert_bad(self.probe(f"http://127.0.0.1:{port}/"), "Connection refused")
        self.assert_bad(self.probe("unix:/nonexistent:/"), "No such file or directory")


class UnixSockets(ProbeTestCase):
    def test_by_path_and_by_name(self):
        path = str(self.folder() / "socket")
        with self.answering(GOOD, family=socket.AF_UNIX, address=path) as (_, asked):
            self.assert_good(self.probe(f"unix:{path}:/proxy/healthz"))
        self.assertTrue(asked[0].startswith(b"GET /proxy/healthz HTTP/1.1\r\nHost: localhost\r\n"))
        with self.answering(GOOD, family=socket.AF_UNIX, address=f"\0{path}"):
            self.assert_good(self.probe(f"unix:@{path}:/"))

    def test_the_daemon_on_a_socket(self):
        path = self.folder() / "socket"
        daemon = self.start(listen=f"unix:{path}")
        daemon.wait_for_log(" listening ")
        self.assert_good(self.probe(f"unix:{path}:/proxy/healthz"))


class Deadline(ProbeTestCase):
    def assert_in_time(self, run, started, why="no answer in time"):
        seconds = time.monotonic() - started
        self.assert_bad(run, why)
        self.assertGreaterEqual(seconds, 0.2)
        self.assertLess(seconds, 0.2 + 1 * harness.SCALE)

    def test_silence_ends_at_the_deadline(self):
        started = time.monotonic()
        self.assert_in_time(self.probe_server(arguments=("--timeout", "200ms")), started)

    def test_a_byte_now_and_then_buys_no_time(self):
        stop = threading.Event()
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)

        def serve():
            client, _ = server.accept()
            with client, contextlib.suppress(OSError):
                client.sendall(b"HTTP/1.1 200")
                while not stop.wait(0.02):
                    client.sendall(b" ")

        thread = threading.Thread(target=serve)
        thread.start()
        started = time.monotonic()
        try:
            run = self.probe(f"http://127.0.0.1:{server.getsockname()[1]}/", "--timeout", "200ms")
        finally:
            stop.set()
            thread.join(harness.PATIENCE_S)
        self.assert_in_time(run, started)

    def test_a_tls_handshake_that_does_not_end(self):
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        started = time.monotonic()
        run = self.probe(f"https://127.0.0.1:{server.getsockname()[1]}/", "--timeout", "200ms")
        self.assert_in_time(run, started)


class Tls(ProbeTestCase):
    def context(self):
        if shutil.which("openssl") is None:
            self.skipTest("NOT RUN: openssl is not installed")
        folder = self.folder()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-subj", "/CN=nobody", "-days", "1", "-keyout", folder / "key", "-out", folder / "certificate"],
                       check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "certificate", folder / "key")
        return context

    def test_a_certificate_that_nobody_signed_will_do(self):
        with self.answering(GOOD, context=self.context()) as (address, asked):
            self.assert_good(self.probe(f"https://localhost:{address[1]}/x"))
        self.assertTrue(asked[0].startswith(b"GET /x HTTP/1.1\r\n"))

    def test_a_bad_status_is_bad_over_tls_too(self):
        with self.answering(b"HTTP/1.1 503 x\r\n\r\n", context=self.context()) as (address, _):
            self.assert_bad(self.probe(f"https://127.0.0.1:{address[1]}/"), "answered 503")

    def test_a_server_without_tls_is_bad(self):
        daemon = self.serve()
        self.assert_bad(self.probe(f"https://127.0.0.1:{daemon.port}/", "--timeout", "10s"), "TLS")

    def test_a_connection_that_is_cut_is_bad(self):
        with self.answering(b"", context=self.context()) as (address, _):
            self.assert_bad(self.probe(f"https://127.0.0.1:{address[1]}/"), f":{address[1]}/: ")


class Usage(ProbeTestCase):
    def test_what_cannot_be_asked_is_one_sentence_and_status_2(self):
        url = "http://127.0.0.1:1/"
        for arguments, why in (
                ([], "url"), (["127.0.0.1:8080"], "the URL"), (["http://example.org/"], "localhost"),
                ([url, "--timeout", "1"], "the timeout"), ([url, "--timeout", "0s"], "the timeout"),
                ([url, "--header", "x"], "header"), ([url, "--header", "a: b\nc: d"], "header"),
                ([url, "--nope"], "nope"), ([url, url], "")):
            with self.subTest(arguments):
                self.assert_bad(self.probe(*arguments), why, status=2)

    def test_help_names_the_forms_of_a_url(self):
        run = harness.run_gputach("probe", "--help")
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        for form in ("http://ADDRESS:PORT/PATH", "https://ADDRESS:PORT/PATH", "unix:SOCKET:/PATH", "--timeout", "1s"):
            self.assertIn(form, run.stdout)


if __name__ == "__main__":
    harness.main()
