#!/usr/bin/env python3
"""TLS on either side of the proxy: the engine behind https, and clients that come through a tls: listener."""

import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

import harness
import proxy_rig
import bodies  # beside the engine: proxy_rig knows the way
from proxy_rig import JSON, chat

UPLOAD = bodies.body(11, 3_000_000)


def write_certificate(folder, name, alternatives):
    """A key and a certificate that it signed itself; their paths."""
    key, certificate = folder / f"{name}.key", folder / f"{name}.crt"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-subj", f"/CN={name}", "-days", "1", "-addext", f"subjectAltName={alternatives}",
                    "-keyout", key, "-out", certificate], check=True, capture_output=True)  # fmt: skip
    return certificate, key


class TestCase(proxy_rig.TestCase):
    @classmethod
    def setUpClass(cls):
        if shutil.which("openssl") is None:
            raise unittest.SkipTest("NOT RUN: openssl is not installed")
        cls.certificates = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.local = write_certificate(cls.certificates, "local", "IP:127.0.0.1,DNS:localhost")
        cls.other = write_certificate(cls.certificates, "other", "IP:192.0.2.1,DNS:other.example")

    def tls_engine(self, files):
        return self.engine("--tls-certificate", str(files[0]), "--tls-key", str(files[1]))

    def serve_https(self, *flags, host="127.0.0.1", files=None, ca=None, **more):
        """An engine behind https, and a daemon that forwards to it and trusts `ca`."""
        files = files or self.local
        engine = self.tls_engine(files)
        trust = ("--upstream-ca", str(ca or files[0])) if ca != "" else ()
        url = f"https://{host}:{engine.host_port[1]}"
        daemon = self.serve("h100x8-busy", "--upstream", url, *trust, *flags, **more)
        return engine, daemon

    def answering(self, answer):
        """The address of an engine of one function, which gets each connection, one after another."""
        listener = socket.create_server(("127.0.0.1", 0))

        def serve():
            with contextlib.suppress(OSError):  # of the end
                while True:
                    with contextlib.suppress(ssl.SSLError):
                        answer(listener.accept()[0])

        thread = threading.Thread(target=serve)
        thread.start()

        def stop():
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(harness.PATIENCE_S)
            listener.close()

        self.addCleanup(stop)
        return f"127.0.0.1:{listener.getsockname()[1]}"

    def used(self, engine, daemon):
        self.assertEqual(daemon.get("/ping").status, 200)
        engine.wait_ended(2)  # it has asked for the models
        engine.clear()

    def assert_streamed(self, client):
        body = chat(stream=True, max_tokens=10)
        client.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nX-Token-Rate: 20\r\n"
                       f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        stream = proxy_rig.Chunks(client)
        self.assertIn("text/event-stream", stream.head())
        arrived = list(stream)
        self.assertIn(b"[DONE]", arrived[-1][1])
        gaps = [later - earlier for (earlier, _), (later, _) in zip(arrived, arrived[1:])]
        self.assertGreater(sum(gap > 0.02 for gap in gaps), 7, gaps)

    def assert_mirrored(self, connection, chunked):
        headers = {} if chunked else {"Content-Length": str(len(UPLOAD))}
        connection.request("POST", "/mirror", body=iter(bodies.pieces(UPLOAD, 20, 5)), headers=headers,
                           encode_chunked=chunked)
        back = connection.getresponse().read()
        self.assertEqual(hashlib.sha256(back).hexdigest(), hashlib.sha256(UPLOAD).hexdigest())

    def assert_abort_is_seen(self, engine, client, stream):
        engine.clear()
        body = chat(stream=stream, max_tokens=2000)
        pace = "X-Token-Rate: 20" if stream else "X-Prompt-Ms: 60000"
        client.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n{pace}\r\n"
                       f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        engine.wait("it is at work", lambda state: state["requests"]["active"] == 1)
        if stream:
            client.recv(100)
        gone = time.monotonic_ns()
        client.close()
        record = engine.wait_ended(1)[-1]
        self.assertEqual(record["state"], "aborted")
        self.assertLess(record["ended_ns"] - gone, 200e6 * harness.SCALE)


class EngineBehindHttps(TestCase):
    def test_requests_and_answers_pass_and_the_connection_is_used_again(self):
        engine, daemon = self.serve_https()
        self.used(engine, daemon)
        for number in range(5):
            echoed = daemon.request("POST", "/echo?a=%2F", body=str(number)).json()
            self.assertEqual((echoed["target"], echoed["bytes"]), ("/echo?a=%2F", 1))
        self.assertEqual(engine.state()["connections"]["open"], 1)
        for framing in ("length", "chunked", "close"):
            got = daemon.get(f"/bytes?n=2000000&seed=7&chunks=9&framing={framing}").body
            self.assertEqual(hashlib.sha256(got).hexdigest(), hashlib.sha256(bodies.body(7, 2_000_000)).hexdigest())

    def test_tokens_leave_when_they_arrive(self):
        engine, daemon = self.serve_https(host="localhost")
        self.assert_streamed(self.enterContext(contextlib.closing(daemon.connect())))

    def test_uploads_of_any_framing_arrive_unchanged(self):
        _, daemon = self.serve_https()
        connection = http.client.HTTPConnection(daemon.host, daemon.port, timeout=harness.PATIENCE_S)
        self.addCleanup(connection.close)
        for chunked in (False, True):
            self.assert_mirrored(connection, chunked)

    def test_the_engine_learns_at_once_that_nobody_waits(self):
        engine, daemon = self.serve_https()
        self.used(engine, daemon)
        for stream in (False, True):
            self.assert_abort_is_seen(engine, daemon.connect(), stream)

    def test_an_upload_that_breaks_off_never_looks_complete(self):
        engine, daemon = self.serve_https()
        self.used(engine, daemon)
        with contextlib.closing(daemon.connect()) as client:
            client.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            engine.wait("it has begun", lambda state: state["requests"]["active"] == 1)
        self.assertEqual(engine.wait_ended(1)[-1]["state"], "aborted")

    def test_a_body_that_ends_early_never_looks_complete(self):
        engine, daemon = self.serve_https()
        for fault in ("cut_length at=64 how=close", "cut_chunked at=64 how=close"):
            with self.subTest(fault):
                engine.arm(fault, times=1, path="/bytes")
                self.assert_incomplete(daemon, "GET", "/bytes?n=1000&seed=1&framing=length")

    def test_an_answer_until_the_end_needs_the_end_that_tls_knows(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.local)

        def answer(plain):
            client = context.wrap_socket(plain, server_side=True)
            proper = client.recv(65536).startswith(b"GET /proper ")
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\nhello")
            with contextlib.suppress(ssl.SSLError):  # the proxy leaves without a word
                if proper:
                    client.unwrap()
            os.close(client.detach())

        address = self.answering(answer)
        daemon = self.serve("h100x8-busy", "--upstream", f"https://{address}", "--upstream-ca", str(self.local[0]))
        self.assertEqual(daemon.get("/proper").body, b"hello")
        self.assert_incomplete(daemon, "GET", "/cut")

    def test_a_connection_that_has_ended_meanwhile_is_not_used(self):
        engine, daemon = self.serve_https()
        self.used(engine, daemon)
        for how in ("close", "reset"):
            engine.drop(how)
            engine.wait("they are closed", lambda state: state["connections"]["open"] == 0)
            self.assertEqual(daemon.request("POST", "/echo", body=b"x").status, 200)

    def test_it_is_ready_when_the_engine_is(self):
        engine, daemon = self.serve_https("--ready-requires", "engine")
        harness.wait_until("it is ready", lambda: daemon.get("/proxy/readyz").status == 200)
        engine.listener("refused")
        harness.wait_until("it is not ready", lambda: daemon.get("/proxy/readyz").status == 503)


class Certificates(TestCase):
    def assert_refused(self, daemon, reason):
        answer = daemon.get("/v1/models")
        self.assert_gateway_error(answer, 502, "tls_certificate_error")
        self.assertIn(reason, answer.json()["error"]["message"])
        self.assertEqual(daemon.get("/proxy/stats").status, 200)

    def test_another_authority_is_refused(self):
        engine, daemon = self.serve_https(ca=self.other[0])
        self.assert_refused(daemon, "self-signed certificate")
        self.assertEqual(engine.state()["log"], [])

    def test_whom_the_system_does_not_know_is_refused(self):
        self.assert_refused(self.serve_https(ca="")[1], "self-signed certificate")

    def test_a_certificate_of_somebody_else_is_refused(self):
        self.assert_refused(self.serve_https(files=self.other)[1], "IP address mismatch")
        self.assert_refused(self.serve_https(files=self.other, host="localhost")[1], "hostname mismatch")

    def test_verification_can_be_switched_off(self):
        for flags in ({"ca": ""}, {"ca": self.local[0], "files": self.other}):
            _, daemon = self.serve_https("--upstream-tls-verify", "off", **flags)
            self.assertEqual(daemon.get("/v1/models").status, 200)

    def test_the_systems_authorities_are_those_of_openssl(self):
        _, daemon = self.serve_https(ca="", environment={"SSL_CERT_FILE": str(self.local[0])})
        self.assertEqual(daemon.get("/v1/models").status, 200)

    def test_a_file_that_cannot_be_used_stops_the_start(self):
        engine = self.tls_engine(self.local)
        daemon = self.start("h100x8-busy", "--upstream", f"https://{engine.address}", "--upstream-ca",
                            str(self.certificates / "missing.pem"))
        self.assertNotEqual(daemon.process.wait(harness.PATIENCE_S), 0)
        daemon.judged = True
        daemon.wait_for_log(r"cannot use the CA certificates .*missing\.pem")


class HandshakeFails(TestCase):
    def test_an_engine_without_tls_is_a_502(self):
        def answer(client):
            client.recv(65536)
            client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            client.close()

        daemon = self.serve("h100x8-busy", "--upstream", f"https://{self.answering(answer)}")
        self.assert_gateway_error(daemon.get("/v1/models"), 502, "tls_protocol_error")

    def test_the_limit_on_connecting_covers_the_handshake(self):
        listener = self.enterContext(contextlib.closing(socket.create_server(("127.0.0.1", 0))))
        daemon = self.serve("h100x8-busy", "--upstream", f"https://127.0.0.1:{listener.getsockname()[1]}",
                            "--upstream-connect-timeout", "300ms")
        answer = daemon.get("/v1/models")
        self.assert_gateway_error(answer, 504, "connection_timeout")
        self.assertLess(answer.seconds, 3 * harness.SCALE)

    def test_nothing_is_left_of_clients_that_leave_during_the_handshake(self):
        listener = self.enterContext(contextlib.closing(socket.create_server(("127.0.0.1", 0))))
        daemon = self.serve("h100x8-busy", "--upstream", f"https://127.0.0.1:{listener.getsockname()[1]}",
                            "--upstream-connect-timeout", "300ms")
        self.assertEqual(daemon.get("/v1/models").status, 504)
        daemon.wait_ready()
        before = harness.descriptors(daemon.pid)
        for _ in range(20):
            with contextlib.closing(daemon.connect()) as client:
                client.sendall(b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n")
        harness.wait_until("descriptors are back", lambda: harness.descriptors(daemon.pid) <= before)


class ClientsThroughTls(TestCase):
    def serve_both(self, https=False):
        """The engine and a daemon with a second, tls: listener."""
        files = ("--tls-certificate", str(self.local[0]), "--tls-key", str(self.local[1]))
        engine = self.tls_engine(self.local) if https else self.engine()
        upstream = (f"https://{engine.address}" if https else engine.url, "--upstream-ca", str(self.local[0]))
        daemon = self.serve("h100x8-busy", "--upstream", *upstream, *files, listen="127.0.0.1:0,tls:127.0.0.1:0")
        self.tls_port = int(daemon.wait_for_log(r"tls:127\.0\.0\.1:(\d+)").group(1))
        self.context = ssl.create_default_context(cafile=str(self.local[0]))
        self.used(engine, daemon)
        return engine, daemon

    def connect(self):
        plain = socket.create_connection(("127.0.0.1", self.tls_port), timeout=harness.PATIENCE_S)
        client = self.context.wrap_socket(plain, server_hostname="127.0.0.1")
        self.addCleanup(client.close)
        return client

    def connection(self):
        connection = http.client.HTTPSConnection("127.0.0.1", self.tls_port, timeout=harness.PATIENCE_S,
                                                 context=self.context)
        self.addCleanup(connection.close)
        return connection

    def test_bodies_in_pieces_arrive_unchanged_and_others_follow_on_the_connection(self):
        for https in (False, True):
            engine, _ = self.serve_both(https)
            connection = self.connection()
            for chunked in (False, True, False):
                self.assert_mirrored(connection, chunked)
            connection.request("POST", "/echo", body=b"abc", headers=JSON)
            echoed = json.loads(connection.getresponse().read())
            fields = {name.lower(): value for name, value in echoed["headers"]}
            self.assertEqual(fields["x-forwarded-proto"], "https")

    def test_a_body_that_comes_after_its_head_arrives(self):
        self.serve_both()
        client = self.connect()
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
        self.assertEqual(client.recv(1000), b"HTTP/1.1 100 Continue\r\n\r\n")
        for piece in (b"hello", b"world"):
            client.sendall(piece)
        self.assertEqual(harness.read_response(client, 0).json()["sha256"], hashlib.sha256(b"helloworld").hexdigest())

    def test_tokens_leave_when_they_arrive(self):
        for https in (False, True):
            self.serve_both(https)
            self.assert_streamed(self.connect())

    def test_pipelined_requests_are_answered_in_order(self):
        self.serve_both()
        client = self.connect()
        client.sendall(b"GET /version HTTP/1.1\r\nHost: a\r\n\r\nGET /health HTTP/1.1\r\nHost: a\r\n\r\n"
                       b"GET /version HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        data = proxy_rig.until_closed(client)
        self.assertEqual(data.count(b"HTTP/1.1 200"), 3)

    def test_the_engine_learns_at_once_that_nobody_waits(self):
        for https in (False, True):
            engine, daemon = self.serve_both(https)
            for stream in (False, True):
                self.assert_abort_is_seen(engine, self.connect(), stream)
            aborts = self.traffic(daemon)["aborts_total"]
            self.assertEqual(sum(row["value"] for row in aborts if row["side"] == "client"), 2)

    def test_an_upload_that_breaks_off_never_looks_complete(self):
        engine, _ = self.serve_both()
        for head in ("Content-Length: 5000", "Transfer-Encoding: chunked"):
            engine.clear()
            with contextlib.closing(self.connect()) as client:
                client.sendall(f"POST /echo HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n".encode() +
                               (b"5\r\nhello\r\n" if "chunked" in head else b"hello"))
                engine.wait("it has begun", lambda state: state["requests"]["active"] == 1)
            self.assertEqual(engine.wait_ended(1)[-1]["state"], "aborted")

    def test_an_answer_that_breaks_off_never_looks_complete(self):
        engine, _ = self.serve_both()
        for fault in ("cut_length at=64 how=close", "cut_chunked at=64 how=close"):
            engine.arm(fault, times=1)
            connection = self.connection()
            connection.request("GET", "/bytes?n=1000&seed=1&framing=length")
            answer = connection.getresponse()
            self.assertEqual(answer.status, 200)
            with self.assertRaises((http.client.IncompleteRead, ConnectionResetError, ssl.SSLError)):
                answer.read()


if __name__ == "__main__":
    harness.main()
