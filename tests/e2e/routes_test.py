#!/usr/bin/env python3
"""Every other path: the route list, health pages, redirects, and the errors that all paths share."""

import expected
import harness

ALLOW = "GET, HEAD, OPTIONS"


class Routes(harness.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shared = harness.TestCase()
        cls.daemon = cls.shared.serve_ready()
        cls.addClassCleanup(cls.shared.doCleanups)

    def listed(self):
        response = self.daemon.get("/proxy/v1/")
        self.assertEqual((response.status, response.headers["Content-Type"]), (200, "application/json"))
        return response.json()["routes"]

    def test_the_list_names_every_route_and_every_route_answers(self):
        paths = [route["path"] for route in self.listed()]
        self.assertLessEqual({"/proxy/stats", "/proxy/healthz", "/proxy/readyz", "/proxy/version", "/proxy/v1/",
                              "/proxy/", "/"}, set(paths))
        for path in paths:
            for method in ("GET", "HEAD"):
                with self.subTest(path=path, method=method):
                    self.assertIn(self.daemon.request(method, path).status, (200, 302))

    def test_the_list_says_what_each_route_is_for(self):
        for route in self.listed():
            self.assertEqual(route["methods"], ALLOW.split(", "))
            self.assertGreater(len(route["help"]), 10, route)

    def test_the_index_page_links_every_route(self):
        response = self.daemon.get("/proxy/")
        self.assertEqual((response.status, response.headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        for route in self.listed():
            self.assertIn(f'href="{route["path"]}"', response.body.decode())

    def test_the_root_redirects_to_the_index(self):
        response = self.daemon.get("/")
        self.assertEqual((response.status, response.headers["Location"]), (302, "/proxy/"))

    def test_healthz_says_that_the_process_serves(self):
        self.assertEqual(self.daemon.get("/proxy/healthz").body, b'{"status":"ok"}')

    def test_readyz_says_that_requests_are_welcome(self):
        self.assertEqual(self.daemon.get("/proxy/readyz").body, b'{"status":"ready"}')

    def test_version_is_that_of_the_command_line(self):
        page = self.daemon.get("/proxy/version").json()
        printed = harness.run_gputach("version").stdout
        self.assertEqual(printed, f'gputach {page["version"]} ({page["commit"]}, {page["compiler"]})\n')

    def test_no_answer_is_stored_by_a_cache(self):
        for path in ("/", "/proxy/", "/proxy/v1/", "/proxy/healthz", "/proxy/readyz", "/proxy/version", "/proxy/nope"):
            with self.subTest(path):
                self.assertEqual(self.daemon.get(path).headers["Cache-Control"], "no-store")

    def test_a_trailing_slash_or_its_absence_and_a_query_string_change_nothing(self):
        for path in ("/proxy/stats/", "/proxy/stats?x=1", "/proxy/stats/?x=1&y=/a?b", "/proxy/stats?"):
            with self.subTest(path):
                self.assertTrue(expected.PAGE.fullmatch(self.daemon.get(path).body))
        for path in ("/proxy/healthz/", "/proxy/v1", "/proxy", "/?x", "/proxy/v1/?x", "/proxy/version?pretty"):
            with self.subTest(path):
                self.assertIn(self.daemon.get(path).status, (200, 302))

    def test_an_unknown_path_is_404_in_the_documents_error_shape(self):
        for path in ("/proxy/nope", "/proxy/stats/nope", "/proxy/v1/nope", "/proxy/stats//", "/proxy/STATS",
                     "/proxy/%73tats", "/nope"):
            with self.subTest(path):
                response = self.daemon.get(path)
                self.assertEqual((response.status, response.headers["Content-Type"]), (404, "application/json"))
                self.assertTrue(expected.ERROR_PAGE.fullmatch(response.body), response.body)

    def test_a_path_that_is_quoted_in_an_error_cannot_break_the_json(self):
        response = self.daemon.get("/proxy/%22%5C'<script>" + "x" * 2000)
        self.assertEqual(response.status, 404)
        self.assertIsInstance(response.error, str)
        self.assertLess(len(response.body), 1000)

    def test_another_method_is_405_with_allow_in_the_same_shape(self):
        for route in self.listed():
            for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"):
                with self.subTest(path=route["path"], method=method):
                    response = self.daemon.request(method, route["path"])
                    self.assertEqual((response.status, response.headers["Allow"]), (405, ALLOW))
                    self.assertTrue(expected.ERROR_PAGE.fullmatch(response.body), response.body)

    def test_a_body_that_nobody_wants_is_read_and_the_connection_goes_on(self):
        with self.daemon.connect() as client:
            client.sendall(b"POST /proxy/stats HTTP/1.1\r\nHost: e2e\r\nContent-Length: 5\r\n\r\nhello"
                           b"GET /proxy/healthz HTTP/1.1\r\nHost: e2e\r\nConnection: close\r\n\r\n")
            data = b""
            while more := client.recv(65536):
                data += more
        self.assertTrue(data.startswith(b"HTTP/1.1 405 "), data)
        self.assertIn(b"HTTP/1.1 200 OK\r\n", data)


class OwnLimits(harness.TestCase):
    """503 is for gputach's own limits only, and says when to come back."""

    def test_a_connection_too_many_is_told_503_with_retry_after(self):
        daemon = self.serve_ready("h100x8-busy", "--connections-max", "3")
        held = [daemon.connect() for _ in range(3)]
        try:
            for client in held:  # an answer shows that the server has taken the connection
                client.sendall(b"GET /proxy/healthz HTTP/1.1\r\nHost: e2e\r\n\r\n")
                self.assertEqual(harness.read_response(client, 0).status, 200)
            refused = daemon.get()
            self.assertEqual((refused.status, refused.headers["Retry-After"]), (503, "1"))
            self.assertTrue(expected.ERROR_PAGE.fullmatch(refused.body), refused.body)
        finally:
            for client in held:
                client.close()
        harness.wait_until("there is room again", lambda: daemon.get().status == 200)

    def test_a_broken_driver_is_never_503(self):
        daemon = self.serve("driver-not-loaded")
        self.assertEqual({daemon.get().status for _ in range(50)}, {500})

    def test_readyz_and_healthz_do_not_depend_on_the_driver(self):
        daemon = self.serve("driver-not-loaded")
        for path in ("/proxy/healthz", "/proxy/readyz"):
            self.assertEqual(daemon.get(path).status, 200)


if __name__ == "__main__":
    harness.main()
