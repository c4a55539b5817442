#!/usr/bin/env python3
"""The stand-in engine does what it says: its routes, and what it tells of its clients."""

import hashlib
import json
import os
import tempfile
import time

import bodies
import standin_process
import testing
import websocket

ABORT_NS_MAX = 500_000_000  # the point is that it is not the end of the answer; in fact it is about a millisecond


class Routes(testing.StandInTest):
    def test_every_route_that_only_reads_answers(self):
        for path in ("/v1/models", "/health", "/ping", "/version", "/load", "/metrics"):
            self.assertEqual(self.ask("GET", path)[0], 200, path)
        self.assertEqual(self.ask("GET", "/nothing")[::2], (404, b'{"detail":"Not Found"}'))
        self.assertEqual(self.ask("GET", "/v1/completions")[0], 405)

    def test_generation_counts_tokens_and_says_so_in_usage_and_metrics(self):
        for path, ask in (("/v1/chat/completions", testing.CHAT), ("/v1/completions", {"prompt": "x"}),
                          ("/invocations", testing.CHAT)):  # fmt: skip
            status, _, content = self.ask("POST", path, ask | {"max_tokens": 5})
            self.assertEqual((status, json.loads(content)["usage"]["completion_tokens"]), (200, 5))
        counted = b'vllm:generation_tokens_total{engine="0",model_name="tiny-random"} 15.0'
        self.assertIn(counted, self.ask("GET", "/metrics")[2])

    def test_other_apis_stream_with_their_own_events(self):
        for path, ask, last in (("/v1/responses", {"input": "x"}, b"response.completed"),
                                ("/v1/messages", testing.CHAT, b"message_stop")):  # fmt: skip
            content = self.ask("POST", path, ask | {"stream": True, "max_tokens": 2})[2]
            self.assertIn(b"event: " + last + b"\n", content)

    def test_each_event_is_one_chunk_and_usage_is_in_the_last_but_done(self):
        ask = testing.CHAT | {"stream": True, "max_tokens": 3, "stream_options": {"include_usage": True}}
        content, _ = self.client().post("/v1/chat/completions", ask, Connection="close").rest()
        head, _, rest = content.partition(b"\r\n\r\n")
        self.assertIn(b"\r\ntransfer-encoding: chunked", head)
        chunks = []
        while not rest.startswith(b"0\r\n"):
            size, _, rest = rest.partition(b"\r\n")
            chunks.append(rest[: int(size, 16)])
            rest = rest[int(size, 16) + 2 :]
        self.assertTrue(all(chunk.startswith(b"data: ") and chunk.count(b"\n\n") == 1 for chunk in chunks))
        self.assertEqual(len(chunks), 1 + 3 + 1 + 1)
        self.assertEqual(chunks[-1], b"data: [DONE]\n\n")
        self.assertEqual(json.loads(chunks[-2][6:])["usage"]["completion_tokens"], 3)

    def test_tokens_come_at_the_rate_that_was_asked_for(self):
        client = self.client().post("/v1/completions", {"prompt": "x", "stream": True, "max_tokens": 5},
                                    X_Token_Rate="50", X_Prompt_Ms="100")
        started = time.monotonic()
        client.until(b"\r\n\r\n")
        head = time.monotonic() - started
        client.until(b"data: ")
        first = time.monotonic() - started
        client.until(b"[DONE]")
        self.assertLess(head, first)
        self.assertGreaterEqual(first, 0.095)
        self.assertGreaterEqual(time.monotonic() - started, 0.095 + 4 / 50)

    def test_requests_beyond_the_places_queue(self):
        self.engine.settings(max_running=1, token_rate=10)
        for _ in range(3):
            self.client().post("/v1/completions", {"prompt": "x", "max_tokens": 100})
        self.engine.wait("two wait", lambda s: s["queue"] == {"running": 1, "waiting": 2})
        self.assertIn(b"num_requests_waiting{", self.ask("GET", "/metrics")[2])

    def test_an_abort_frees_its_place_wherever_it_was(self):
        self.engine.settings(max_running=1, token_rate=10)
        clients = [self.client().post("/v1/completions", {"prompt": "x", "max_tokens": 100}) for _ in range(3)]
        self.engine.wait("two wait", lambda s: s["queue"] == {"running": 1, "waiting": 2})
        clients[0].vanish()
        clients[1].vanish()
        self.engine.wait("the last runs", lambda s: s["queue"] == {"running": 1, "waiting": 0})
        clients[2].close()
        self.engine.wait("none runs", lambda s: s["queue"] == {"running": 0, "waiting": 0})

    def test_a_key_guards_only_what_vllm_guards(self):
        self.engine.settings(api_key="secret")
        self.assertEqual(self.ask("GET", "/v1/models")[::2], (401, b'{"error":"Unauthorized"}'))
        self.assertEqual(self.ask("GET", "/v1/models", headers={"Authorization": "Bearer secret"})[0], 200)
        self.assertEqual(self.ask("POST", "/invocations", testing.CHAT)[0], 200)

    def test_echo_tells_what_arrived(self):
        body = bodies.body(3, 100_000)
        pieces = iter(bodies.pieces(body, 50, 4))
        _, _, content = self.ask("POST", "/echo?a=b", pieces, {"X-Mixed-Case": "v"})
        told = json.loads(content)
        self.assertEqual(told["sha256"], hashlib.sha256(body).hexdigest())
        self.assertEqual((told["bytes"], told["chunks"], told["target"]), (100_000, 50, "/echo?a=b"))
        self.assertIn(["X-Mixed-Case", "v"], told["headers"])

    def test_bytes_are_those_of_the_seed_in_each_framing(self):
        for framing in ("length", "chunked", "close"):
            content = self.ask("GET", f"/bytes?n=200001&seed=9&chunks=70&framing={framing}")[2]
            self.assertEqual(content, bodies.body(9, 200_001), framing)

    def test_a_mirror_sends_back_while_it_receives(self):
        client = self.client()
        client.send("POST", "/mirror", Content_Length=None, Transfer_Encoding="chunked")
        client.socket.sendall(b"3\r\none\r\n")
        client.until(b"one")
        client.socket.sendall(b"3\r\ntwo\r\n0\r\n\r\n")
        client.until(b"two\r\n0\r\n\r\n")

    def test_a_web_socket_echoes_and_greets_in_the_segment_of_the_head(self):
        client = self.client().send("GET", "/v1/realtime?greeting=1", Content_Length=None, Upgrade="websocket",
                                    Connection="Upgrade", Sec_WebSocket_Version="13",
                                    Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==")  # fmt: skip
        self.assertIn(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", client.until(b"\r\n\r\n"))  # the example of RFC 6455
        client.until(b"session.created")
        mask, text = b"\1\2\3\4", b"hello"
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(text))
        client.until(b"}")
        client.socket.sendall(b"\x81\x85" + mask + masked)
        self.assertEqual(client.until(b"hello"), websocket.frame(websocket.TEXT, b"hello"))
        client.vanish()
        self.assertEqual(self.engine.wait_ended()[-1]["state"], "aborted")

    def test_it_serves_on_a_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            with standin_process.StandIn("--listen", os.path.join(folder, "engine.sock")) as engine:
                client = testing.Client(engine).send("GET", "/version", Connection="close")
                self.assertIn(b"200 OK", client.rest()[0])
                client.close()


class Connections(testing.StandInTest):
    def test_an_idle_connection_is_closed_after_its_time(self):
        self.engine.settings(keep_alive_s=0.2)
        client = self.client().send("GET", "/health")
        client.until(b"\r\n\r\n")
        started = time.monotonic()
        self.assertEqual(client.rest(), (b"", "close"))
        self.assertGreater(time.monotonic() - started, 0.15)

    def test_requests_in_a_row_are_answered_in_a_row(self):
        client = self.client().send("GET", "/bytes?n=3&seed=1").send("GET", "/version", Connection="close")
        content, _ = client.rest()
        self.assertLess(content.index(bodies.body(1, 3)), content.index(b"version"))

    def test_the_body_does_not_wait_for_the_acknowledgement_of_the_head(self):
        client = self.client()
        seconds = []
        for _ in range(10):  # a new connection is acknowledged at once, a used one after 40 ms (TCP_DELACK_MIN)
            started = time.monotonic()
            client.send("GET", "/version").until(b"}")
            seconds.append(time.monotonic() - started)
        self.assertLess(min(seconds[5:]), 0.03, seconds)

    def test_a_connection_ends_after_its_number_of_requests(self):
        self.engine.settings(requests_per_connection=2)
        client = self.client().send("GET", "/health").send("GET", "/health").send("GET", "/health")
        self.assertEqual(client.rest()[0].count(b"200 OK"), 2)

    def test_the_continue_is_sent_when_the_body_is_read(self):
        client = self.client()
        client.socket.sendall(b"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        self.assertEqual(client.until(b"\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n")
        client.socket.sendall(b"ok")
        client.until(b"200 OK")

    def test_an_abort_is_known_at_once_in_each_phase(self):
        slow = {"prefill": {"X_Prompt_Ms": "60000"}, "decode": {"X_Prompt_Ms": "0", "X_Token_Rate": "0.01"}}
        for stream in (False, True):
            for phase, headers in slow.items():
                for leave in (testing.Client.close, testing.Client.vanish):
                    self.engine.clear()
                    ask = {"prompt": "x", "stream": stream}
                    client = self.client().post("/v1/completions", ask, **headers)
                    self.engine.wait(phase, lambda s: s["log"] and s["log"][0]["phase"] == phase)
                    left_ns = time.monotonic_ns()
                    leave(client)
                    record = self.engine.wait_ended()[0]
                    self.assertEqual((record["state"], record["phase"]), ("aborted", phase))
                    self.assertLess(record["ended_ns"] - left_ns, ABORT_NS_MAX)

    def test_nothing_is_written_to_a_client_that_is_gone(self):
        for _ in range(10):
            self.client().send("GET", "/bytes?n=10000000&chunks=200").vanish()
        for record in self.engine.wait_ended(10):
            self.assertEqual((record["state"], record["sent_bytes"] < 10_000_000), ("aborted", True))

    def test_an_upload_that_breaks_off_is_no_complete_body(self):
        client = self.client()
        client.socket.sendall(b"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nhalf")
        self.engine.wait("half of it came", lambda s: s["log"] and s["log"][0]["body_bytes"] == 4)
        client.close()
        record = self.engine.wait_ended()[0]
        self.assertEqual((record["state"], record["body_complete"], record["body_bytes"]), ("aborted", False, 4))

    def test_what_can_be_read_in_two_ways_is_refused_and_told(self):
        for head in (b"Content-Length: 3\r\nTransfer-Encoding: chunked", b"Content-Length: 3\r\nContent-Length: 4",
                     b"Transfer-Encoding : chunked", b"Transfer-Encoding: chunked, chunked", b"X: a\nB: c\rd"):
            self.engine.clear()
            client = self.client()
            client.socket.sendall(b"POST /echo HTTP/1.1\r\nHost: t\r\n" + head + b"\r\n\r\n")
            self.assertIn(b"400 Bad Request", client.rest()[0])
            self.assertEqual(self.engine.state()["requests"]["malformed"], 1, head)

    def test_connections_are_counted_but_not_those_of_orders(self):
        clients = [self.client() for _ in range(3)]
        self.engine.wait("three are open", lambda s: s["connections"]["open"] == 3)
        self.assertEqual(self.ask("GET", "/standin/state")[0], 200)
        clients[0].close()
        state = self.engine.wait("two are open", lambda s: s["connections"]["open"] == 2)
        self.assertEqual((state["connections"]["opened"], state["connections"]["peak"] >= 3), (3, True))


if __name__ == "__main__":
    testing.main()
