#!/usr/bin/env python3
"""When the engine, the client or the way between them fails, nothing looks whole that is not."""

import contextlib
import http.client
import json
import signal
import socket
import threading
import time

import harness
import proxy_rig
import raw_answers  # beside the engine: proxy_rig knows the way
from proxy_rig import JSON, chat


# Clear to a lenient reader, and read in another way by a strict one: we refuse them (RFC 9112 sections 5.1, 5.2, 6.3).
STRICTER = {"equal_lengths", "space_before_colon", "folded"}


class EngineFails(proxy_rig.TestCase):
    @staticmethod
    def drop(engine, how):
        engine.drop(how)
        engine.wait("they are closed", lambda state: state["connections"]["open"] == 0)

    def test_while_it_loads_clients_are_told_to_come_back(self):
        engine, daemon = self.serve_engine(used=False)
        engine.listener("refused")
        answer = daemon.get("/v1/models")
        self.assert_gateway_error(answer, 503, "connection_refused")
        self.assertTrue(answer.headers["Retry-After"])
        engine.listener("open")
        self.assertEqual(daemon.get("/v1/models").status, 200)
        engine.listener("refused")
        self.drop(engine, "reset")
        self.assert_gateway_error(daemon.get("/v1/models"), 502, "connection_refused")
        self.assertEqual(daemon.get("/proxy/stats").status, 200)

    def test_connecting_has_a_limit(self):
        engine, daemon = self.serve_engine("--upstream-connect-timeout", "300ms")
        engine.listener("full")
        self.drop(engine, "close")
        answer = daemon.get("/v1/models")
        self.assert_gateway_error(answer, 504, "connection_timeout")
        self.assertLess(answer.seconds, 3 * harness.SCALE)

    def test_a_unix_socket_that_accepts_nobody_has_the_same_limit(self):
        path = self.folder() / "engine.sock"
        engine = self.enterContext(socket.socket(socket.AF_UNIX))
        engine.bind(str(path))
        engine.listen(0)
        blocker = self.enterContext(socket.socket(socket.AF_UNIX))
        blocker.connect(str(path))  # the one place there is
        daemon = self.serve("h100x8-busy", "--upstream", f"unix:{path}", "--upstream-connect-timeout", "300ms")
        self.assert_gateway_error(daemon.get("/version"), 504, "connection_timeout")
        client = self.send(daemon, "GET /version HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.05)  # it has tried
        engine.accept()
        accepted, _ = engine.accept()
        with accepted:
            self.assertIn(b"GET /version", accepted.recv(65536))
            accepted.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            self.assertEqual(harness.read_response(client, 0).status, 204)

    def test_an_end_before_the_answer_is_a_502(self):
        engine, daemon = self.serve_engine()
        for fault in ("close how=close", "close how=reset", "cut_head how=close", "cut_head how=reset"):
            engine.arm(fault, times=1)
            self.assert_gateway_error(daemon.request("POST", "/v1/chat/completions", body=chat(), headers=JSON),
                                      502, "connection_terminated")
            self.assertEqual(daemon.get("/v1/models").status, 200)

    def test_answers_that_could_be_read_in_two_ways_are_refused(self):
        engine, daemon = self.serve_engine()
        for name in raw_answers.REFUSED:
            with self.subTest(name):
                for how in ("close", "keep"):
                    engine.arm(f"raw name={name} how={how}", times=1)
                    with contextlib.closing(daemon.connect()) as client:
                        client.settimeout(3)
                        client.sendall(b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n")
                        data = b""
                        try:
                            while more := client.recv(65536):
                                data += more
                                if b"HTTP/1.1 502" in data:
                                    break
                        except ConnectionResetError:
                            data += b"(reset)"
                        except socket.timeout:
                            pass
                    refused = b"HTTP/1.1 502" in data or not self.is_whole(data)
                    self.assertTrue(refused, (name, how, data[:300]))
                    engine.disarm()
                    self.assertEqual(daemon.get("/version").status, 200, name)

    @staticmethod
    def is_whole(data):
        """Whether a client would take it for a complete answer."""
        class Bytes:
            def makefile(self, *_):
                import io
                return io.BytesIO(data)
        answer = http.client.HTTPResponse(Bytes())
        try:
            answer.begin()
            if answer.status < 200:  # an interim answer is none: the client goes on waiting
                return False
            if answer.length is None and not answer.chunked and b"(reset)" in data:
                return False
            answer.read()
        except (http.client.HTTPException, OSError, ValueError):
            return False
        return True

    def test_odd_answers_that_are_clear_pass(self):
        engine, daemon = self.serve_engine()
        for name in raw_answers.READABLE:
            with self.subTest(name):
                engine.arm(f"raw name={name} how=close", times=1)
                answer = daemon.get("/v1/models")
                if name in STRICTER:
                    self.assert_gateway_error(answer, 502, "http_protocol_error")
                else:
                    self.assertLess(answer.status, 500)

    def test_a_head_without_end_is_a_502(self):
        engine, daemon = self.serve_engine()
        engine.arm("big_head bytes=200000 fields=20", times=1)
        self.assert_gateway_error(daemon.get("/v1/models"), 502, "http_response_header_section_size")

    def test_a_body_that_ends_early_never_looks_complete(self):
        engine, daemon = self.serve_engine()
        for fault in ("cut_length at=64 how=close", "cut_length at=64 how=reset", "cut_chunked at=64 how=close",
                      "cut_chunked at=64 how=reset", "cut_eof at=64 how=reset"):
            with self.subTest(fault):
                engine.arm(fault, times=1)
                self.assert_incomplete(daemon, "GET", "/bytes?n=1000&seed=1&framing=length")
        engine.arm("cut_tokens n=3 how=close", times=1)
        self.assert_incomplete(daemon, "POST", "/v1/chat/completions", JSON, chat(stream=True, max_tokens=50))
        self.assertGreaterEqual(sum(row["value"] for row in self.traffic(daemon)["gateway_errors_total"]), 6)

    def test_the_access_log_tells_a_cut_answer_from_a_whole_one(self):
        log = self.folder() / "access"
        engine, daemon = self.serve_engine("--access-log", str(log))
        self.assertEqual(daemon.get("/version").status, 200)
        engine.arm("silent", path="/load", times=1)
        client = self.send(daemon, "GET /load HTTP/1.1\r\nHost: a\r\n\r\n")
        engine.wait("it is there", lambda state: state["requests"]["active"] == 1)
        client.close()

        def lines():
            found = [json.loads(line) for line in log.read_text().splitlines()]
            return [one for one in found if one["target"] in ("/version", "/load")][1:] and found

        found = {one["target"]: one for one in harness.wait_until("both are logged", lines)}
        self.assertNotIn("cut", found["/version"])
        self.assertEqual((found["/load"]["status"], found["/load"].get("cut")), (0, True))

    def test_an_early_answer_reaches_a_client_that_still_sends(self):
        engine, daemon = self.serve_engine()
        engine.arm("early status=413 at=1000 then=close", times=1)
        with contextlib.closing(daemon.connect()) as client:
            client.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 5000)
            self.assertEqual(harness.read_response(client, 0).status, 413)

    def test_a_reset_that_a_send_has_met_is_no_end_of_an_answer(self):
        """The send takes the socket's error with it: who reads then what came before the reset meets an end."""
        engine, daemon = self.serve_engine()
        with contextlib.closing(daemon.connect()) as client:
            client.sendall(b"POST /bytes?n=50000000&seed=1&framing=close HTTP/1.1\r\nHost: a\r\n"
                           b"Content-Length: 1000000\r\n\r\n")
            engine.wait("it answers", lambda state: state["requests"]["active"] == 1)
            sent = 0
            while sent != (sent := engine.last()["sent_bytes"]) or sent == 0:
                time.sleep(0.05 * harness.SCALE)  # until everybody on the way has taken what he takes
            engine.drop("reset")
            engine.wait_ended(1)
            client.sendall(b"x" * 1000)
            harness.wait_until("they have met the reset", lambda: daemon.get("/proxy/healthz").status == 200)
            self.assertFalse((proxy_rig.until_closed(client) or b"").endswith(b"\r\n0\r\n\r\n"))

    def test_stale_connections_are_not_used(self):
        engine, daemon = self.serve_engine()
        self.assertEqual(daemon.get("/version").status, 200)
        for how in ("close", "reset"):
            self.drop(engine, how)
            self.assertEqual(daemon.request("POST", "/echo", body=b"x").status, 200)
        engine.arm("idle_bytes ms=0", times=1)
        self.assertEqual(daemon.get("/version").status, 200)
        time.sleep(0.1)  # the bytes that nobody asked for arrive
        self.assertEqual(daemon.get("/version").json(), daemon.get("/version").json())

    def test_a_post_is_never_sent_twice(self):
        engine, daemon = self.serve_engine()
        self.assertEqual(daemon.get("/version").status, 200)
        engine.clear()
        engine.arm("stale how=reset")
        self.assertEqual(daemon.request("POST", "/echo", body=b"x").status, 502)
        self.assertEqual(sum(one["target"] == "/echo" for one in engine.state()["log"]), 1)

    def test_too_many_wait_and_then_it_says_so(self):
        engine, daemon = self.serve_engine("--upstream-connections-max", "1", "--upstream-queue-max", "1",
                                           "--upstream-queue-timeout", "1s")
        first = self.occupy(engine, daemon)
        second = self.send(daemon, "GET /version HTTP/1.1\r\nHost: a\r\n\r\n")
        self.wait_queued(daemon, 1)
        self.assert_gateway_error(daemon.get("/version"), 503, "connection_limit_reached")
        self.assert_gateway_error(harness.read_response(second, 0), 503, "connection_limit_reached")
        third = self.send(daemon, "GET /version HTTP/1.1\r\nHost: a\r\n\r\n")
        self.wait_queued(daemon, 1)
        first.close()
        self.assertEqual(harness.read_response(third, 0).status, 200)


class ClientFails(proxy_rig.TestCase):
    def test_the_engine_learns_at_once_that_nobody_waits(self):
        engine, daemon = self.serve_engine()
        slow = {"before the first byte": ("X-Prompt-Ms: 60000\r\n", False),
                "in a stream": ("X-Token-Rate: 20\r\n", True)}
        for when, (field, stream) in slow.items():
            for how in ("close", "reset"):
                with self.subTest(f"{when}, {how}"):
                    engine.clear()
                    body = chat(stream=stream, max_tokens=2000)
                    client = daemon.connect()
                    client.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n{field}"
                                   f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                                   f"{body}".encode())
                    engine.wait("it is at work", lambda state: state["requests"]["active"] == 1)
                    if stream:
                        client.recv(100)
                    if how == "reset":
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    gone = time.monotonic_ns()
                    client.close()
                    record = engine.wait_ended(1)[-1]
                    self.assertEqual(record["state"], "aborted")
                    self.assertLess(record["ended_ns"] - gone, 200e6 * harness.SCALE)
        aborts = self.traffic(daemon)["aborts_total"]
        self.assertEqual(sum(row["value"] for row in aborts if row["side"] == "client"), 4)

    def test_who_leaves_while_it_waits_is_not_asked_for(self):
        engine, daemon = self.serve_engine("--upstream-connections-max", "1", "--upstream-queue-max", "1",
                                           "--upstream-queue-timeout", "60s")
        first = self.occupy(engine, daemon)
        for pipelined in ("", "GET /load HTTP/1.1\r\nHost: a\r\n\r\n"):
            with self.subTest(pipelined=bool(pipelined)):
                second = daemon.connect()
                second.sendall(f"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx{pipelined}".encode())
                self.wait_queued(daemon, 1)
                second.close()
                self.wait_queued(daemon, 0)
        first.close()
        self.assertEqual(daemon.get("/ping").status, 200)
        self.assertNotIn("/echo", [one["target"] for one in engine.state()["log"]])

    def test_an_upload_that_breaks_off_never_looks_complete(self):
        engine, daemon = self.serve_engine()
        for head in ("Content-Length: 5000", "Transfer-Encoding: chunked"):
            engine.clear()
            with contextlib.closing(daemon.connect()) as client:
                client.sendall(f"POST /echo HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n".encode() +
                               (b"5\r\nhello\r\n" if "chunked" in head else b"hello"))
                engine.wait("it has begun", lambda state: state["requests"]["active"] == 1)
            self.assertEqual(engine.wait_ended(1)[-1]["state"], "aborted")

    def test_bad_chunks_are_refused_and_cut_on_both_sides(self):
        engine, daemon = self.serve_engine()
        with contextlib.closing(daemon.connect()) as client:
            client.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                           b"5\r\nhelloX\r\n0\r\n\r\n")
            answer = harness.read_response(client, 0)
            self.assertEqual(answer.status, 400)
            self.assertEqual(proxy_rig.until_closed(client) or b"", b"")
        self.assertTrue(all(one["state"] != "finished" for one in engine.state()["log"]))

    def test_silence_in_the_middle_of_a_body_ends_it(self):
        engine, daemon = self.serve_engine("--body-timeout", "300ms")
        with contextlib.closing(daemon.connect()) as client:
            client.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nhello")
            answer = harness.read_response(client, 0)
        self.assertEqual(answer.status, 408)
        self.assertEqual(engine.wait_ended(1)[-1]["state"], "aborted")

    def test_who_waits_for_a_100_is_not_timed_and_who_has_it_is(self):
        engine = self.enterContext(socket.create_server(("127.0.0.1", 0)))
        daemon = self.serve("h100x8-busy", "--upstream", f"http://127.0.0.1:{engine.getsockname()[1]}",
                            "--body-timeout", "300ms")
        client = self.send(daemon, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
                                   "Expect: 100-continue\r\n\r\n")
        asked = b""
        while not asked.startswith(b"POST /x "):  # the models are asked for as well
            connection = self.enterContext(engine.accept()[0])
            asked = connection.recv(65536)
        client.settimeout(1.5)  # a limit is noticed within half a second
        with self.assertRaises(TimeoutError):
            client.recv(1)
        client.settimeout(harness.PATIENCE_S)
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertEqual(client.recv(1000), b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertEqual(harness.read_response(client, 0).status, 408)

    def test_nothing_is_left_after_hundreds_of_aborts(self):
        engine, daemon = self.serve_engine()
        daemon.get("/version")
        before = harness.descriptors(daemon.pid)
        for number in range(200):
            client = daemon.connect()
            client.sendall(b"GET /bytes?n=3000000&seed=1&chunks=50 HTTP/1.1\r\nHost: a\r\n\r\n"[: 20 + number])
            if number % 3:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
        # This answer comes after all of them have been accepted; until then none may be there yet.
        self.assertEqual(daemon.get("/version").status, 200)
        harness.wait_until("no request is left", lambda: self.traffic(daemon)["active_requests"] == 0)
        harness.wait_until("descriptors are back", lambda: harness.descriptors(daemon.pid) <= before + 2)
        engine.wait("all have ended", lambda state: state["requests"]["active"] == 0)


class Ending(proxy_rig.TestCase):
    def test_running_answers_finish_and_new_work_is_refused(self):
        engine, daemon = self.serve_engine("--drain-timeout", "20s")
        body = chat(stream=True, max_tokens=20)
        client = self.send(daemon, "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nX-Token-Rate: 20\r\n"
                           f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}")
        stream = proxy_rig.Chunks(client)
        stream.head()
        daemon.process.send_signal(signal.SIGTERM)
        harness.wait_until("it is not ready", lambda: daemon.get("/proxy/readyz").status == 503)
        refused = daemon.get("/v1/models")
        self.assertEqual(refused.status, 503)
        self.assertTrue(refused.headers["Retry-After"])
        self.assertIn(b"[DONE]", b"".join(piece for _, piece in stream))
        self.assertEqual(daemon.process.wait(5 * harness.SCALE), 0)
        self.assertEqual(engine.wait_ended(1)[-1]["state"], "finished")

    def test_the_drain_has_an_end_and_a_second_signal_is_the_end(self):
        for flags, seconds, again in ((("--drain-timeout", "500ms"), 3, False), ((), 3, True)):
            engine, daemon = self.serve_engine(*flags)
            client = self.send(daemon, "GET /bytes?n=100000&seed=1&chunks=1000&gap_ms=100 HTTP/1.1\r\nHost: a\r\n\r\n")
            client.recv(10)
            started = time.monotonic()
            daemon.process.send_signal(signal.SIGTERM)
            if again:
                time.sleep(0.1)
                daemon.process.send_signal(signal.SIGTERM)
            self.assertEqual(daemon.process.wait(20), 0)
            self.assertLess(time.monotonic() - started, seconds * harness.SCALE)
            self.assertNotEqual(engine.wait_ended(1)[-1]["state"], "finished")


class BesideTelemetry(proxy_rig.TestCase):
    def test_a_hung_driver_is_not_felt_by_tokens(self):
        engine = self.engine()
        daemon = self.serve("hang?gpu=all", "--upstream", engine.url)
        stop = threading.Event()

        def poll():
            while not stop.is_set():
                daemon.get("/proxy/stats")

        poller = threading.Thread(target=poll)
        poller.start()
        try:
            slowest = max(daemon.get("/version").seconds for _ in range(100))
        finally:
            stop.set()
            poller.join()
        self.assertLess(slowest, 0.5 * harness.SCALE)


if __name__ == "__main__":
    harness.main()
