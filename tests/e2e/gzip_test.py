#!/usr/bin/env python3
"""The gzip form of /proxy/stats: the same bytes once decoded, made once, sent to those who accept it."""

import gzip
import subprocess

import harness

PATH = "/proxy/stats"
CLIENTS, PIPELINED = 20, 50


class Gzip(harness.TestCase):
    def serve_frozen(self, scenario="h100x8-busy", *flags):
        daemon = self.serve_ready(scenario, "--cache-ttl", "60s", *flags)
        daemon.get()
        return daemon

    def assert_coded(self, response, plain):
        self.assertEqual(response.headers.get_all("Content-Encoding"), ["gzip"])
        self.assertEqual(int(response.headers["Content-Length"]), len(response.body))
        self.assertLess(len(response.body), len(plain))
        self.assertEqual(gzip.decompress(response.body), plain)

    def test_decoded_it_is_the_plain_page(self):
        for scenario in ("h100x8-busy", "h100x64"):
            daemon = self.serve_frozen(scenario)
            for path in (PATH, PATH + "?missing=list"):
                with self.subTest(scenario=scenario, path=path):
                    plain = daemon.get(path)
                    self.assertNotIn("Content-Encoding", plain.headers)
                    coded = daemon.get(path, headers={"Accept-Encoding": "gzip"})
                    self.assert_coded(coded, plain.body)
                    self.assertLess(3 * len(coded.body), len(plain.body))

    def test_who_does_not_take_it_gets_the_plain_page(self):
        daemon = self.serve_frozen()
        plain = daemon.get(headers={"Accept-Encoding": "identity"}).body
        for accepted, coded in (("", False), ("br", False), ("gzip;q=0", False), ("*;q=0", False),
                                ("gzip;q=nonsense", False), ("identity, gzip;q=0.5", False), ("*", True),
                                ("gzip, deflate, br, zstd", True), ("x-gzip", True), ("GZIP;q=0.001", True)):
            with self.subTest(accepted):
                response = daemon.get(headers={"Accept-Encoding": accepted})
                if coded:
                    self.assert_coded(response, plain)
                else:
                    self.assertNotIn("Content-Encoding", response.headers)
                    self.assertEqual(response.body, plain)

    def test_every_answer_says_what_it_varies_with(self):
        for scenario in ("h100x8-busy", "no-gpus"):
            daemon = self.serve(scenario, "--cache-ttl", "60s")
            for headers in ({}, {"Accept-Encoding": "gzip"}, {"Accept-Encoding": "gzip"}):
                self.assertEqual(daemon.get(headers=headers).headers.get_all("Vary"), ["Accept-Encoding"])

    def test_head_has_the_length_of_the_form_that_get_would_send(self):
        daemon = self.serve_frozen()
        for accepted in ("gzip", "identity"):
            headers = {"Accept-Encoding": accepted}
            get, head = daemon.get(headers=headers), daemon.request("HEAD", PATH, headers=headers)
            self.assertEqual((head.status, head.body), (200, b""))
            for name in ("Content-Length", "Content-Encoding", "Vary", "X-Cache"):
                self.assertEqual(head.headers[name], get.headers[name], name)

    def test_the_first_request_of_a_pass_gets_it_too(self):
        daemon = self.serve_ready("h100x8-busy", "--cache-ttl", "60s")
        first = daemon.get(headers={"Accept-Encoding": "gzip"})
        self.assertEqual(first.cache, "MISS")
        self.assert_coded(first, daemon.get().body)

    def test_errors_are_sent_as_they_are(self):
        daemon = self.serve("no-gpus")
        for path in (PATH, "/proxy/nope"):
            response = daemon.get(path, headers={"Accept-Encoding": "gzip"})
            self.assertNotIn("Content-Encoding", response.headers)
            self.assertIsInstance(response.error, str)

    def test_a_thousand_requests_of_one_reading_make_it_once(self):
        daemon = self.serve_frozen()
        request = f"GET {PATH} HTTP/1.1\r\nHost: e2e\r\nAccept-Encoding: gzip\r\n\r\n".encode()
        last = request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        bodies = set()
        for _ in range(CLIENTS):
            with daemon.connect() as client:
                client.sendall(request * (PIPELINED - 1) + last)
                data = b""
                while more := client.recv(1 << 20):
                    data += more
            parts = data.split(b"HTTP/1.1 200 OK\r\n")[1:]
            self.assertEqual(len(parts), PIPELINED)
            bodies |= {part.partition(b"\r\n\r\n")[2] for part in parts}
        self.assertEqual(len(bodies), 1)
        self.assertEqual(daemon.get("/proxy/v1/daemon").json()["gzip"]["pages"], 1)

    def test_curl_decodes_it(self):
        daemon = self.serve_frozen()
        command = ["curl", "-sS", "--fail", "--max-time", str(harness.PATIENCE_S), daemon.url + PATH]
        compressed = subprocess.run([*command, "--compressed"], capture_output=True, check=True).stdout
        self.assertEqual(compressed, subprocess.run(command, capture_output=True, check=True).stdout)
        self.assertEqual(daemon.get("/proxy/v1/daemon").json()["gzip"]["pages"], 1)


if __name__ == "__main__":
    harness.main()
