#!/usr/bin/env python3
"""The faults of the stand-in engine are what they say, byte for byte."""

import pathlib
import socket

import bodies
import faults
import raw_answers
import testing


class Listener(testing.StandInTest):
    def test_it_can_refuse_and_come_back(self):
        self.engine.listener("refused")
        with self.assertRaises(ConnectionRefusedError):
            self.client()
        self.engine.listener("open")
        self.assertEqual(self.ask("GET", "/health")[0], 200)

    def test_connecting_can_hang(self):
        self.engine.listener("full")
        with socket.socket() as client, self.assertRaises(TimeoutError):
            client.settimeout(0.3)
            client.connect(self.engine.host_port)
        self.engine.listener("open")
        self.assertEqual(self.ask("GET", "/health")[0], 200)

    def test_it_can_accept_and_end_or_say_nothing(self):
        self.engine.listener("close")
        self.assertEqual(self.client().rest(), (b"", "close"))
        self.engine.listener("reset")
        self.assertEqual(self.client().rest(), (b"", "reset"))
        self.engine.listener("silent")
        client = self.client().send("GET", "/health")
        client.socket.settimeout(0.2)
        with self.assertRaises(TimeoutError):
            client.socket.recv(1)
        client.close()
        self.engine.wait("it is gone", lambda s: s["connections"]["open"] == 0)

    def test_open_connections_can_be_dropped(self):
        client = self.client()
        self.engine.wait("it is open", lambda s: s["connections"]["open"] == 1)
        self.engine.drop("reset")
        self.assertEqual(client.rest(), (b"", "reset"))


class Faults(testing.StandInTest):
    def test_it_ends_before_the_first_byte(self):
        self.assertEqual(self.fails("close"), (b"", "close"))
        self.assertEqual(self.fails("close how=reset"), (b"", "reset"))
        self.assertEqual(self.engine.last()["state"], "faulted")

    def test_it_never_answers_and_sees_the_client_go(self):
        client = self.client().send("POST", "/echo", b"abc", X_Fault="silent")
        self.engine.wait("the body came", lambda s: s["log"] and s["log"][0]["body_complete"])
        client.close()
        self.assertEqual(self.engine.wait_ended()[0]["state"], "aborted")

    def test_it_ends_within_the_head(self):
        content, how = self.fails("cut_head")
        self.assertTrue(content.startswith(b"HTTP/1.1 200"))
        self.assertNotIn(b"\r\n\r\n", content)
        self.assertEqual(how, "close")

    def test_it_ends_within_the_body_in_each_framing(self):
        content, how = self.fails("cut_length at=100")
        self.assertIn(b"content-length: 1000\r\n", content)
        self.assertEqual((len(content.partition(b"\r\n\r\n")[2]), how), (100, "close"))
        content, how = self.fails("cut_chunked at=100")
        self.assertEqual(content.partition(b"\r\n\r\n")[2], b"3e8\r\n" + bodies.body(0, 100))
        content, how = self.fails("cut_eof at=100")
        self.assertEqual(how, "reset")

    def test_a_stream_ends_after_so_many_tokens(self):
        client = self.client().post("/v1/completions", {"prompt": "x", "stream": True}, X_Fault="cut_tokens n=2")
        content, how = client.rest()
        self.assertEqual((content.count(b"data: "), b"\r\n0\r\n" in content, how), (2, False, "close"))

    def test_an_error_comes_within_a_good_stream(self):
        ask = {"prompt": "x", "stream": True}
        client = self.client().post("/v1/completions", ask, X_Fault="stream_error n=2", Connection="close")
        content, _ = client.rest()
        self.assertEqual((content.count(b'"text"'), content.count(b'"error"')), (2, 1))
        self.assertTrue(content.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"))

    def test_raw_answers_arrive_byte_for_byte(self):
        for name, answer in raw_answers.ANSWERS.items():
            self.assertEqual(self.fails(f"raw name={name}")[0], answer, name)

    def test_heads_can_be_large_slow_and_announced(self):
        self.assertGreater(len(self.fails("big_head bytes=200000", "/bytes?framing=close")[0]), 200_000)
        content, _ = self.fails("slow_head ms=1", "/bytes?n=5&framing=close")
        self.assertTrue(content.endswith(bodies.body(0, 5)))
        content, _ = self.fails("interim status=103 n=2", "/bytes?framing=close")
        self.assertEqual(content.count(b"HTTP/1.1 103 Early Hints\r\n"), 2)
        self.assertEqual(content.count(b"HTTP/1.1 200 OK\r\n"), 1)

    def test_it_answers_before_the_upload_has_ended(self):
        for then in ("close", "drain", "stall"):
            client = self.client()
            client.socket.sendall(b"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n"
                                  b"X-Fault: early then=%b\r\n\r\nsome" % then.encode())  # fmt: skip
            self.assertIn(b"413 Content Too Large", client.until(b"\r\n\r\n"), then)
            client.close()

    def test_it_stops_reading_and_still_sees_the_client_go(self):
        client = self.client()
        client.socket.sendall(b"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 100000000\r\n"
                              b"X-Fault: stop_reading at=1\r\n\r\n")  # fmt: skip
        client.socket.settimeout(0.3)
        with self.assertRaises(TimeoutError):
            while True:
                client.socket.sendall(bytes(65536))
        client.vanish()
        record = self.engine.wait_ended()[0]
        self.assertEqual((record["state"], record["body_bytes"] < 1_000_000), ("aborted", True))

    def test_a_connection_is_stale_on_its_second_request(self):
        client = self.client().send("GET", "/health", X_Fault="stale how=close")
        client.until(b"\r\n\r\n")
        client.send("GET", "/health", X_Fault="stale how=close")
        self.assertEqual(client.rest(), (b"", "close"))

    def test_an_armed_fault_meets_as_many_requests_as_it_was_told(self):
        self.engine.arm("status code=503 retry_after=1", times=2, path="/v1/")
        self.assertEqual(self.ask("GET", "/health")[0], 200)
        status, headers, _ = self.ask("GET", "/v1/models")
        self.assertEqual((status, headers["retry-after"]), (503, "1"))
        self.assertEqual([self.ask("GET", "/v1/models")[0] for _ in range(2)], [503, 200])

    def test_bytes_come_on_an_idle_connection(self):
        client = self.client().send("GET", "/health", X_Fault="idle_bytes name=http10")
        client.until(b"content-length: 0\r\n\r\n")
        client.until(raw_answers.ANSWERS["http10"])

    def test_a_connection_ends_without_a_word(self):
        content, how = self.fails("close_after", "/bytes?n=3")
        self.assertEqual((b"connection: close" in content, content[-3:], how), (False, bodies.body(0, 3), "close"))

    def test_pieces_are_cut_and_joined_anew_but_the_bytes_are_the_same(self):
        path, writes = "/bytes?n=20000&seed=2&chunks=50&framing=chunked", []
        for fault in ("framing is=chunked", "ragged seed=5", "gather bytes=3000"):
            self.assertEqual(self.ask("GET", path, headers={"X-Fault": fault})[2], bodies.body(2, 20_000), fault)
            content, _ = self.client().send("GET", path, X_Fault=fault, Connection="close").rest()
            writes.append(self.count_chunks(content.partition(b"\r\n\r\n")[2]))
        self.assertEqual(writes[0], 50)
        self.assertTrue(writes[2] <= 7 < writes[0] < 500 < writes[1], writes)

    def count_chunks(self, content):
        count = 0
        while size := int(content.partition(b"\r\n")[0], 16):
            content = content.partition(b"\r\n")[2][size + 2 :]
            count += 1
        return count

    def test_trailers_follow_the_last_chunk(self):
        client = self.client().send("GET", "/bytes?n=3", X_Fault="trailers", Connection="close")
        content, _ = client.rest()
        self.assertTrue(content.endswith(b"0\r\nx-checksum: abc\r\ncontent-length: 7\r\nx-more: 1\r\n\r\n"))

    def test_a_fault_that_does_not_exist_is_said(self):
        for fault in ("nonsense", "cut nothing=1", "raw name=nonsense"):
            client = self.client().send("GET", "/bytes", X_Fault=fault, Connection="close")
            self.assertIn(b"400 Bad Request", client.rest()[0])

    def test_the_document_lists_every_fault(self):
        text = pathlib.Path(__file__).with_name("README.md").read_text()
        for name in faults.TABLE:
            self.assertIn(f"| `{name}", text)


if __name__ == "__main__":
    testing.main()
