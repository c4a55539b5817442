#!/usr/bin/env python3
"""Header fields of /proxy/stats, HEAD, OPTIONS and what browsers of other origins may do."""

import harness

HEALTHY, BROKEN = "h100x8-busy", "no-gpus"
CORS = "Access-Control-Allow-Origin"


def without_date(headers):
    return sorted((name, value) for name, value in headers.items() if name != "Date")


class Fields(harness.TestCase):
    def test_content_type_and_no_store_on_answers_and_errors(self):
        for scenario, status in ((HEALTHY, 200), (BROKEN, 500)):
            with self.subTest(scenario):
                response = self.serve(scenario).get()
                self.assertEqual(response.status, status)
                self.assertEqual(response.headers.get_all("Content-Type"), ["application/json"])
                self.assertEqual(response.headers.get_all("Cache-Control"), ["no-store"])
                self.assertEqual(int(response.headers["Content-Length"]), len(response.body))

    def test_x_cache_is_there_exactly_once_on_answers_and_errors(self):
        for scenario in (HEALTHY, BROKEN):
            with self.subTest(scenario):
                daemon = self.serve(scenario, "--cache-ttl", "30s")
                self.assertEqual([daemon.get().headers.get_all("X-Cache") for _ in range(3)],
                                 [["MISS"], ["HIT"], ["HIT"]])

    def test_the_simulated_driver_is_labelled_in_header_and_name(self):
        response = self.serve_ready().get()
        self.assertEqual(response.headers["Gputach-Simulated"], "?1")  # an RFC 8941 boolean
        for gpu in response.json()["gpus"]:
            self.assertTrue(gpu["name"].endswith(" (simulated)"), gpu["name"])

    def test_head_answers_the_headers_of_get_without_a_body(self):
        for scenario in (HEALTHY, BROKEN):
            with self.subTest(scenario):
                daemon = self.serve(scenario, "--cache-ttl", "30s")
                daemon.get()
                get, head = daemon.get(), daemon.request("HEAD", "/proxy/stats")
                self.assertEqual(without_date(head.headers), without_date(get.headers))
                self.assertEqual((head.status, head.body), (get.status, b""))

    def test_head_that_comes_first_starts_a_pass_and_its_answer_serves_the_next_get(self):
        daemon = self.serve_ready(HEALTHY, "--cache-ttl", "30s")
        head = daemon.request("HEAD", "/proxy/stats")
        self.assertEqual((head.status, head.cache, head.body), (200, "MISS", b""))
        get = daemon.get()
        self.assertEqual((get.cache, len(get.body)), ("HIT", int(head.headers["Content-Length"])))

    def test_after_head_the_connection_serves_the_next_request(self):
        daemon = self.serve_ready()
        with daemon.connect() as client:
            client.sendall(b"HEAD /proxy/stats HTTP/1.1\r\nHost: e2e\r\n\r\n"
                           b"GET /proxy/healthz HTTP/1.1\r\nHost: e2e\r\nConnection: close\r\n\r\n")
            data = b""
            while more := client.recv(65536):
                data += more
        self.assertEqual(data.count(b"HTTP/1.1 200 OK\r\n"), 2)
        self.assertTrue(data.endswith(b'\r\n\r\n{"status":"ok"}'), data)


class CrossOrigin(harness.TestCase):
    def assert_readable(self, response, origin="*"):
        self.assertEqual(response.headers.get_all(CORS), [origin])
        exposed = {name.strip() for name in response.headers["Access-Control-Expose-Headers"].split(",")}
        self.assertLessEqual({"X-Cache", "Gputach-Unsupported"}, exposed)

    def test_stats_may_be_read_from_any_origin_and_x_cache_is_exposed(self):
        self.assert_readable(self.serve_ready().get(headers={"Origin": "http://crush.example"}))

    def test_so_may_its_errors(self):
        daemon = self.serve(BROKEN)
        for method, status in (("GET", 500), ("POST", 405), ("DELETE", 405)):
            with self.subTest(method):
                response = daemon.request(method, "/proxy/stats", headers={"Origin": "http://crush.example"})
                self.assertEqual(response.status, status)
                self.assert_readable(response)

    def test_no_other_page_may_be_read_from_elsewhere(self):
        daemon = self.serve_ready()
        for path in ("/", "/proxy/", "/proxy/v1/", "/proxy/healthz", "/proxy/readyz", "/proxy/version", "/proxy/nope"):
            for method in ("GET", "HEAD", "OPTIONS", "POST"):
                with self.subTest(path=path, method=method):
                    response = daemon.request(method, path, headers={"Origin": "http://crush.example"})
                    self.assertEqual([n for n in response.headers if n.lower().startswith("access-control-")], [])

    def test_a_preflight_is_answered(self):
        response = self.serve_ready().request("OPTIONS", "/proxy/stats", headers={
            "Origin": "http://crush.example", "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization"})
        self.assertEqual((response.status, response.body), (204, b""))
        self.assertEqual(response.headers[CORS], "*")
        self.assertIn("GET", response.headers["Access-Control-Allow-Methods"])
        self.assertIn("Access-Control-Allow-Headers", response.headers)
        self.assertEqual(response.headers["Allow"], "GET, HEAD, OPTIONS")

    def test_options_of_any_route_and_of_the_server_name_the_methods(self):
        daemon = self.serve_ready()
        for target in ("/proxy/stats", "/proxy/version", "/proxy/v1/", "*"):
            with self.subTest(target):
                response = daemon.request("OPTIONS", target)
                self.assertEqual((response.status, response.headers["Allow"]), (204, "GET, HEAD, OPTIONS"))

    def test_the_origin_can_be_set(self):
        daemon = self.serve_ready(HEALTHY, "--cors-origin", "https://dashboard.example")
        self.assert_readable(daemon.get(), "https://dashboard.example")
        self.assertEqual(daemon.request("OPTIONS", "/proxy/stats").headers[CORS], "https://dashboard.example")

    def test_one_origin_is_named_whoever_asks_so_that_the_answer_does_not_vary(self):
        daemon = self.serve_ready(HEALTHY, "--cors-origin", "https://dashboard.example")
        for origin in ("https://dashboard.example", "https://elsewhere.example"):
            self.assert_readable(daemon.get(headers={"Origin": origin}), "https://dashboard.example")

    def test_an_empty_origin_lets_nobody_in(self):
        daemon = self.serve_ready(HEALTHY, "--cors-origin", "")
        for method in ("GET", "OPTIONS", "POST"):
            self.assertNotIn(CORS, daemon.request(method, "/proxy/stats").headers)


if __name__ == "__main__":
    harness.main()
