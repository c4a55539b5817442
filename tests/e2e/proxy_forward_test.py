#!/usr/bin/env python3
"""Everything outside of /proxy/ belongs to the engine: what is passed on, and how."""

import hashlib
import http.client
import json
import os
import random
import time

import harness
import proxy_rig
import bodies  # beside the engine: proxy_rig knows the way
from proxy_rig import JSON, chat


class Forwarding(proxy_rig.TestCase):
    def test_every_path_and_method_but_ours_reaches_the_engine(self):
        engine, daemon = self.serve_engine()
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"):
            echoed = daemon.request(method, "/echo?a=%2F&b", body=b"x" if method != "GET" else None)
            self.assertEqual(echoed.json()["method"], method)
            self.assertEqual(echoed.json()["target"], "/echo?a=%2F&b")
        self.assertEqual(daemon.request("HEAD", "/v1/models").body, b"")
        for path in ("/", "/health", "/proxyish", "/%70roxy/stats", "//proxy/stats", "/x/../proxy/stats"):
            daemon.get(path)
            self.assertEqual(engine.last()["target"], path)
        for path in ("/proxy/stats", "/proxy/healthz", "/proxy/", "/proxy", "/proxy/nothing"):
            daemon.get(path)
            self.assertNotEqual(engine.last()["target"], path)

    def test_without_an_engine_those_paths_are_404_and_say_what_to_do(self):
        response = self.serve().get("/v1/models")
        self.assertEqual(response.status, 404)
        self.assertIn("--upstream", response.error)

    def test_what_belongs_to_one_connection_stays_there_and_traces_are_ours(self):
        engine, daemon = self.serve_engine()
        echoed = daemon.request("POST", "/echo", body=b"abc", headers={
            "Connection": "x-hop, host, keep-alive", "X-Hop": "1", "Keep-Alive": "timeout=9", "TE": "trailers",
            "Proxy-Authorization": "Basic x", "X-Forwarded-For": "6.6.6.6", "X_Forwarded_For": "6.6.6.6",
            "Forwarded": "for=6.6.6.6", "X-Real-IP": "6.6.6.6", "Authorization": "Bearer engine-key",
            "X-Request-Id": "abc", "Traceparent": "00-1"}).json()
        fields = {name.lower(): value for name, value in echoed["headers"]}
        self.assertEqual(fields["host"], f"{daemon.host}:{daemon.port}")
        for gone in ("connection", "x-hop", "keep-alive", "te", "proxy-authorization", "x_forwarded_for", "x-real-ip"):
            self.assertNotIn(gone, fields)
        self.assertEqual(fields["x-forwarded-for"], "127.0.0.1")
        self.assertEqual(fields["x-forwarded-proto"], "http")
        self.assertIn("for=127.0.0.1", fields["forwarded"])
        self.assertRegex(fields["via"], r"^1\.1 gputach-\w+$")
        self.assertEqual(fields["authorization"], "Bearer engine-key")
        self.assertEqual(fields["x-request-id"], "abc")
        self.assertEqual(fields["traceparent"], "00-1")

    def test_bytes_arrive_unchanged_whatever_their_pieces(self):
        seed = random.SystemRandom().randrange(1 << 32)
        print(f"seed {seed}")
        dice = random.Random(seed)
        _, daemon = self.serve_engine()
        for round_ in range(12):
            data = bodies.body(dice.randrange(1 << 30), dice.choice((0, 1, 1000, 70_000, 1_500_000)))
            digest = hashlib.sha256(data).hexdigest()
            chunked = dice.random() < 0.5
            cut = bodies.pieces(data, dice.randrange(1, 40), round_) if data else []
            connection = http.client.HTTPConnection(daemon.host, daemon.port, timeout=harness.PATIENCE_S)
            headers = {} if chunked else {"Content-Length": str(len(data))}
            connection.request("POST", "/mirror", body=iter(cut), headers=headers, encode_chunked=chunked)
            back = connection.getresponse().read()
            connection.close()
            self.assertEqual(hashlib.sha256(back).hexdigest(), digest, (seed, round_, len(data), chunked))
        for framing in ("length", "chunked", "close"):
            for size in (0, 1, 100_000, 2_000_000):
                count = dice.randrange(1, 30)
                got = daemon.get(f"/bytes?n={size}&seed=7&chunks={count}&framing={framing}").body
                self.assertEqual(got, bodies.body(7, size), (seed, framing, size, count))

    def test_many_requests_one_after_another_share_connections_on_both_sides(self):
        engine, daemon = self.serve_engine()
        connection = http.client.HTTPConnection(daemon.host, daemon.port, timeout=harness.PATIENCE_S)
        for number in range(50):
            connection.request("POST", "/echo", body=str(number))
            answer = json.loads(connection.getresponse().read())
            self.assertEqual(answer["on_connection"], number + 2)
        connection.close()
        self.assertEqual(engine.state()["connections"]["open"], 1)

    def test_pipelined_requests_to_engine_and_proxy_are_answered_in_order(self):
        _, daemon = self.serve_engine()
        get = "GET {} HTTP/1.1\r\nHost: a\r\n\r\n"
        client = self.send(daemon, get.format("/version") + get.format("/proxy/healthz") + get.format("/health") +
                           "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + get.format("/version"))
        stream = client.makefile("rb")
        statuses, contents = [], []
        for _ in range(5):
            statuses.append(int(stream.readline().split()[1]))
            headers = http.client.parse_headers(stream)
            contents.append(stream.read(int(headers.get("Content-Length", 0))))
        self.assertEqual(statuses, [200] * 5)
        self.assertIn(b"version", contents[0])
        self.assertIn(b"ok", contents[1])
        self.assertEqual(json.loads(contents[3])["bytes"], 3)
        self.assertEqual(contents[4], contents[0])

    def test_http_1_0_gets_no_chunks(self):
        _, daemon = self.serve_engine()
        client = self.send(daemon, "GET /bytes?n=100000&seed=3&framing=chunked HTTP/1.0\r\n\r\n")
        head, _, body = proxy_rig.until_closed(client).partition(b"\r\n\r\n")
        self.assertNotIn(b"chunked", head.lower())
        self.assertEqual(body, bodies.body(3, 100000))

    def test_an_expectation_is_passed_on_and_the_engine_decides(self):
        engine, daemon = self.serve_engine()
        head = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        client = self.send(daemon, head)
        self.assertEqual(client.recv(1000), b"HTTP/1.1 100 Continue\r\n\r\n")
        client.sendall(b"hello")
        self.assertEqual(harness.read_response(client, 0).json()["bytes"], 5)
        engine.arm("early status=413 at=0 then=close", times=1)
        refused = harness.read_response(self.send(daemon, head), 0)
        self.assertEqual(refused.status, 413)

    def test_interim_answers_pass_and_trailers_do_not_harm(self):
        engine, daemon = self.serve_engine()
        engine.arm("interim status=103 n=2", times=1)
        client = self.send(daemon, "GET /version HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        data = proxy_rig.until_closed(client)
        self.assertEqual(data.count(b"HTTP/1.1 103"), 2)
        self.assertEqual(data.count(b"HTTP/1.1 200"), 1)
        engine.arm("trailers", times=1)
        self.assertEqual(daemon.get("/bytes?n=1000&seed=1").body, bodies.body(1, 1000))

    def test_a_websocket_is_a_tunnel_both_ways(self):
        engine, daemon = self.serve_engine()
        client = self.send(daemon, "GET /v1/realtime?greeting=1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
                           "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                           "Sec-WebSocket-Version: 13\r\n\r\n")
        data = b""
        while b"\r\n\r\n" not in data or len(data.partition(b"\r\n\r\n")[2]) < 2:
            data += client.recv(65536)
        head, _, frames = data.partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 101"), head)
        self.assertIn(b"sec-websocket-accept", head.lower())
        while len(frames) < 2 + frames[1]:
            frames += client.recv(65536)
        for text in (b"one", b"two" * 20):
            mask = b"\x01\x02\x03\x04"
            client.sendall(bytes([0x81, 0x80 | len(text)]) + mask +
                           bytes(byte ^ mask[i % 4] for i, byte in enumerate(text)))
            echo = b""
            while len(echo) < 2 + len(text):
                echo += client.recv(65536)
            self.assertEqual(echo[2:], text)
        client.close()
        engine.wait_ended(1)

    def test_a_unix_socket_reaches_the_engine_too(self):
        path = self.folder() / "engine.sock"
        engine = self.engine("--listen", str(path))
        daemon = self.serve("h100x8-busy", "--upstream", f"unix:{path}")
        self.assertEqual(daemon.get("/version").status, 200)
        self.assertEqual(engine.last()["target"], "/version")

    def test_paths_can_be_shut(self):
        _, daemon = self.serve_engine("--deny-paths", "preset:vllm-safe,/v1/embeddings")
        for path in ("/invocations", "/pooling", "/SCORE", "/sleep", "/v1/embeddings", "/v1/embeddings/", "/%73leep",
                     "/collective_rpc"):
            self.assert_gateway_error(daemon.request("POST", path, body=b"{}"), 403, "http_request_denied")
        for path in ("//sleep", "/v1/../sleep", "/x;y", "/a\\b"):
            self.assertIn(daemon.request("POST", path, body=b"{}").status, (400, 403), path)
        for path in ("/v1/models", "/health", "/metrics"):
            self.assertEqual(daemon.get(path).status, 200)
        _, daemon = self.serve_engine("--allow-paths", "/v1/*", used=False)
        self.assertEqual(daemon.get("/v1/models").status, 200)
        self.assertEqual(daemon.get("/health").status, 403)

    def test_the_private_listener_forwards_nothing(self):
        _, daemon = self.serve_engine("--private-listen", "127.0.0.1:0")
        port = int(daemon.wait_for_log(r"private_address=127\.0\.0\.1:(\d+)").group(1))
        connection = http.client.HTTPConnection(daemon.host, port, timeout=harness.PATIENCE_S)
        connection.request("GET", "/v1/models")
        self.assertEqual(connection.getresponse().status, 404)
        connection.close()


class Streaming(proxy_rig.TestCase):
    def test_each_token_leaves_when_it_arrives(self):
        _, daemon = self.serve_engine()
        body = chat(stream=True, max_tokens=10)
        client = self.send(daemon, "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nX-Token-Rate: 20\r\n"
                           f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}")
        stream = proxy_rig.Chunks(client)
        self.assertIn("text/event-stream", stream.head())
        arrived = list(stream)
        self.assertIn(b"[DONE]", arrived[-1][1])
        gaps = [later - earlier for (earlier, _), (later, _) in zip(arrived, arrived[1:])]
        self.assertGreater(sum(gap > 0.02 for gap in gaps), 7, gaps)
        self.assertTrue(all(piece.startswith(b"data: ") for _, piece in arrived))

    def test_figures_of_the_traffic_are_kept(self):
        engine, daemon = self.serve_engine()
        body = chat(stream=True, max_tokens=8, stream_options={"include_usage": True})
        answer = daemon.request("POST", "/v1/chat/completions", body=body, headers=JSON)
        self.assertEqual(answer.status, 200)
        seen = harness.wait_until("the exchange is over",
                                  lambda: (t := self.traffic(daemon))["active_requests"] == 0 and t)
        requests = {(row["route"], row["status"]): row["value"] for row in seen["requests_total"]}
        self.assertEqual(requests[("chat", "2xx")], 1)
        self.assertEqual(seen["first_token_seconds"]["series"][0]["count"], 1)
        self.assertEqual(sum(row["value"] for row in seen["completion_tokens_total"]), 8)
        self.assertEqual(engine.state()["requests"]["finished"], 1)

    def test_an_engine_with_a_key_tells_its_models_to_its_clients(self):
        engine = self.engine()
        engine.settings(api_key="secret")
        daemon = self.serve("h100x8-busy", "--upstream", engine.url)
        key = {"Authorization": "Bearer secret"}
        stream = {**proxy_rig.JSON, **key}

        def models():
            daemon.request("POST", "/v1/chat/completions", stream, proxy_rig.chat(stream=True, max_tokens=3).encode())
            series = self.traffic(daemon)["first_token_seconds"]["series"]
            return {row["model"] for row in series if row["count"] > 0}

        self.assertEqual(models(), {"other"})
        self.assertEqual(daemon.get("/v1/models", headers=key).status, 200)
        self.assertEqual(models(), {"other", proxy_rig.CHAT["model"]})
        asked = [one["target"] for one in engine.state()["log"]].count("/v1/models")
        self.assertEqual(asked, 2, "ours, which was refused, and the client's")

    def test_a_slow_reader_holds_the_engine_back_and_not_our_memory(self):
        _, daemon = self.serve_engine()
        client = daemon.connect()
        self.addCleanup(client.close)
        client.sendall(b"GET /bytes?n=200000000&seed=1&chunks=3000&framing=length HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(1.0)  # the engine would have sent all of it
        with open(f"/proc/{daemon.pid}/statm", encoding="ascii") as statm:
            resident = int(statm.read().split()[1]) * 4096
        self.assertLess(resident, (300 if os.environ.get("GPUTACH_SANITIZE") else 60) << 20)
        self.assertTrue(client.recv(100).startswith(b"HTTP/1.1 200"))


if __name__ == "__main__":
    harness.main()
