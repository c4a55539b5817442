#!/usr/bin/env python3
"""Who may see what: the private listener, and bearer tokens for each exposure."""

import http.client
import signal
import socket

import expected
import harness

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "DELETE", "BREW")
ADMIN = "/proxy/v1/config"
TOKENS = {"contract": "contract-1", "read": "read-22", "sensitive": "sensitive-333", "admin": "admin-4444"}


def ask(port, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=harness.PATIENCE_S)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return harness.Response(answer.status, answer.headers, answer.read(), 0)
    finally:
        connection.close()


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


class ExposureTestCase(harness.TestCase):
    def serve_private(self, *flags, **more):
        daemon = self.serve_ready("h100x8-busy", "--private-listen", "127.0.0.1:0", *flags, **more)
        daemon.private_port = int(daemon.wait_for_log(r"private_address=127\.0\.0\.1:(\d+)").group(1))
        return daemon

    def token_flags(self, *exposures):
        self.files = self.folder()
        for exposure in exposures:
            (self.files / exposure).write_text(TOKENS[exposure] + "\n")
        return "--token-files", ",".join(f"{exposure}={self.files / exposure}" for exposure in exposures)


def without_path_and_date(response, path):
    headers = sorted((n, v) for n, v in response.headers.items() if n not in ("Date", "Content-Length", "X-Request-Id"))
    return response.status, headers, response.body.replace(path.encode(), b"")


class PrivateListener(ExposureTestCase):
    def test_on_the_common_listener_its_pages_are_unknown_paths_for_every_method(self):
        daemon = self.serve_private(*self.token_flags("admin"))
        for method in METHODS:
            for headers in ({}, bearer(TOKENS["admin"]), bearer("wrong")):
                with self.subTest(method=method, headers=headers):
                    hidden = ask(daemon.port, ADMIN, method, **headers)
                    unknown = ask(daemon.port, "/proxy/v1/nope", method, **headers)
                    self.assertEqual(hidden.status, 404)
                    self.assertEqual(without_path_and_date(hidden, ADMIN),
                                     without_path_and_date(unknown, "/proxy/v1/nope"))

    def test_without_a_private_listener_they_are_nowhere(self):
        daemon = self.serve_ready()
        self.assertEqual(daemon.get(ADMIN).status, 404)

    def test_the_lists_show_what_can_be_asked_for_there(self):
        daemon = self.serve_private()
        for port, shown in ((daemon.port, False), (daemon.private_port, True)):
            paths = [route["path"] for route in ask(port, "/proxy/v1/").json()["routes"]]
            self.assertEqual(ADMIN in paths, shown, paths)
            self.assertEqual(ADMIN in ask(port, "/proxy/").body.decode(), shown)
            for path in paths:
                self.assertIn(ask(port, path).status, (200, 302), path)

    def test_the_private_listener_serves_everything_else_too_from_the_same_cache(self):
        daemon = self.serve_private("--cache-ttl", "30s")
        first, second = ask(daemon.port, "/proxy/stats"), ask(daemon.private_port, "/proxy/stats")
        self.assertEqual((first.cache, second.cache), ("MISS", "HIT"))
        self.assertEqual(first.body, second.body)

    def test_the_configuration_names_value_and_origin_of_each_flag_and_no_secret(self):
        daemon = self.serve_private(*self.token_flags("read"), environment={"GPUTACH_CACHE_TTL": "2s"})
        response = ask(daemon.private_port, ADMIN)
        self.assertEqual((response.status, response.headers["Content-Type"]), (200, "application/json"))
        flags = response.json()["flags"]
        self.assertEqual((flags["cache-ttl"]["value"], flags["cache-ttl"]["origin"]), ("2s", "GPUTACH_CACHE_TTL"))
        self.assertEqual(flags["connections-max"]["origin"], "default")
        self.assertEqual(flags["token-files"]["value"], f"read={self.files / 'read'}")
        self.assertNotIn(TOKENS["read"], response.body.decode())

    def test_a_unix_socket_can_be_the_private_listener(self):
        path = self.folder() / "socket"
        self.serve_ready("h100x8-busy", "--private-listen", f"unix:{path}")
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(harness.PATIENCE_S)
            client.connect(str(path))
            client.sendall(f"GET {ADMIN} HTTP/1.1\r\nHost: e2e\r\nConnection: close\r\n\r\n".encode())
            self.assertEqual(harness.read_response(client, 0).status, 200)


class BearerTokens(ExposureTestCase):
    def assert_unauthorized(self, response, error):
        self.assertEqual(response.status, 401)
        challenge = 'Bearer realm="gputach"' + (', error="invalid_token"' if error else "")
        self.assertEqual(response.headers.get_all("WWW-Authenticate"), [challenge])
        self.assertEqual(response.headers["Cache-Control"], "no-store")
        if response.body:
            self.assertTrue(expected.ERROR_PAGE.fullmatch(response.body), response.body)

    def test_each_page_asks_for_the_token_of_its_exposure_and_takes_no_other(self):
        daemon = self.serve_private(*self.token_flags(*TOKENS))
        for path, exposure in (("/proxy/stats", "contract"), ("/proxy/healthz", "contract"), ("/proxy/version", "read"),
                               ("/proxy/", "read"), ("/proxy/v1/", "read"), ("/", "read"), (ADMIN, "admin")):
            for method in ("GET", "HEAD", "POST"):
                with self.subTest(path=path, method=method):
                    self.assert_unauthorized(ask(daemon.private_port, path, method), False)
                    for other in set(TOKENS) - {exposure}:
                        wrong = ask(daemon.private_port, path, method, **bearer(TOKENS[other]))
                        self.assert_unauthorized(wrong, True)
                    right = ask(daemon.private_port, path, method, **bearer(TOKENS[exposure]))
                    self.assertIn(right.status, (405,) if method == "POST" else (200, 302))

    def test_who_is_refused_causes_no_reading_of_the_gpus(self):
        daemon = self.serve_private(*self.token_flags("contract"))
        for headers in ({}, bearer("wrong"), {"Authorization": "Basic " + TOKENS["contract"]}):
            self.assertEqual(ask(daemon.port, "/proxy/stats", **headers).status, 401)
        self.assertEqual(daemon.passes(), 0)
        self.assertEqual(ask(daemon.port, "/proxy/stats", **bearer(TOKENS["contract"])).status, 200)
        self.assertEqual(daemon.passes(), 1)

    def test_the_scheme_is_compared_without_case_and_two_fields_are_none(self):
        daemon = self.serve_private(*self.token_flags("contract"))
        token = TOKENS["contract"]
        for lines, status in (([f"authorization: bEARER  {token}"], 200), ([f"Authorization: Bearer {token}"] * 2, 401),
                              ([f"Authorization: Bearer {token}", "Authorization: Basic eA=="], 401)):
            with self.subTest(lines), daemon.connect() as client:
                head = ["GET /proxy/stats HTTP/1.1", "Host: e2e", "Connection: close", *lines, "", ""]
                client.sendall("\r\n".join(head).encode())
                self.assertEqual(harness.read_response(client, 0).status, status)

    def test_probes_work_while_reading_needs_a_token(self):
        daemon = self.serve_private(*self.token_flags("read"))
        for path, status in (("/proxy/healthz", 200), ("/proxy/readyz", 200), ("/proxy/stats", 200), ("/proxy/", 401)):
            self.assertEqual(ask(daemon.port, path).status, status, path)

    def test_a_browser_learns_by_its_preflight_that_it_may_send_the_token(self):
        daemon = self.serve_private(*self.token_flags("contract"))
        preflight = ask(daemon.port, "/proxy/stats", "OPTIONS", **{
            "Origin": "http://crush.example", "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization"})
        self.assertEqual(preflight.status, 204)
        allowed = {name.strip().lower() for name in preflight.headers["Access-Control-Allow-Headers"].split(",")}
        self.assertIn("authorization", allowed)  # the wildcard does not stand for it (Fetch standard)
        refused = ask(daemon.port, "/proxy/stats", Origin="http://crush.example")
        self.assertEqual((refused.status, refused.headers["Access-Control-Allow-Origin"]), (401, "*"))

    def test_a_token_file_that_changed_is_in_force_after_sighup(self):
        daemon = self.serve_private(*self.token_flags("contract"))
        (self.files / "contract").write_text("next")
        daemon.process.send_signal(signal.SIGHUP)
        harness.wait_until("the new token is taken",
                           lambda: ask(daemon.port, "/proxy/stats", **bearer("next")).status == 200)
        self.assertEqual(ask(daemon.port, "/proxy/stats", **bearer(TOKENS["contract"])).status, 401)

    def test_no_log_shows_a_token(self):
        daemon = self.serve_private("--log-level", "debug", "--access-log", "stderr", *self.token_flags("contract"))
        for token in (TOKENS["contract"], "wrong-one"):
            ask(daemon.port, "/proxy/stats", **bearer(token))
        daemon.terminate()
        log = "\n".join(daemon.log())
        self.assertIn('"status":401', log)
        self.assertNotIn(TOKENS["contract"], log)
        self.assertNotIn("wrong-one", log)


if __name__ == "__main__":
    harness.main()
