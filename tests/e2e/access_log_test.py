#!/usr/bin/env python3
"""The access log: a line of JSON for each request, and never in the way of one."""

import json
import os
import re
import signal

import harness

KEYS = ["time", "id", "peer", "entrance", "method", "target", "status", "bytes", "duration_us"]


def entries_of(lines):
    return [json.loads(line) for line in lines if line.startswith("{")]


class Lines(harness.TestCase):
    def serve_logged(self, *flags, **more):
        path = self.folder() / "access"
        daemon = self.serve_ready("h100x8-busy", "--access-log", str(path), *flags, **more)
        return daemon, path

    def entries(self, path, count):
        def read():
            lines = path.read_text().splitlines(keepends=True) if path.exists() else []
            return lines if len(lines) >= count and lines[-1].endswith("\n") else None

        entries = entries_of(harness.wait_until(f"{count} lines in {path}", read))
        self.assertEqual(len(entries), count)
        return entries

    def test_a_line_says_who_asked_for_what_and_got_what(self):
        daemon, path = self.serve_logged()
        response = daemon.get("/proxy/stats?x=1")
        entry, = self.entries(path, 1)
        self.assertEqual(list(entry), KEYS)
        self.assertRegex(entry["time"], r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z")
        self.assertRegex(entry["peer"], r"\A127\.0\.0\.1:\d+\Z")
        self.assertEqual(entry["id"], response.headers["X-Request-Id"])
        self.assertEqual([entry[key] for key in ("entrance", "method", "target", "status", "bytes")],
                         ["common", "GET", "/proxy/stats?x=1", 200, len(response.body)])
        self.assertGreater(entry["duration_us"], 0)

    def test_standard_error_holds_both_logs_in_whole_lines(self):
        daemon = self.serve_ready("h100x8-busy", "--access-log", "stderr")
        for path in ("/proxy/healthz", "/proxy/nope"):
            daemon.get(path)
        daemon.wait_for_log(r'"target":"/proxy/nope","status":404')
        for line in daemon.log():
            self.assertTrue(re.match(r"\d{4}-\S+Z (debug|info|warning|error) ", line) or json.loads(line), line)
        self.assertEqual([e["target"] for e in entries_of(daemon.log())], ["/proxy/healthz", "/proxy/nope"])

    def test_errors_and_requests_that_could_not_be_read_have_a_line(self):
        daemon, path = self.serve_logged()
        daemon.request("POST", "/proxy/stats")
        with daemon.connect() as client:
            client.sendall(b"NONSENSE\r\n\r\n")
            self.assertEqual(harness.read_response(client, 0).status, 400)
        self.assertEqual([(e["method"], e["status"]) for e in self.entries(path, 2)], [("POST", 405), ("", 400)])

    def test_a_clients_own_id_is_taken_over_when_it_is_sane(self):
        daemon, path = self.serve_logged()
        response = daemon.get("/proxy/healthz", headers={"X-Request-Id": "trace-42"})
        self.assertEqual(response.headers["X-Request-Id"], "trace-42")
        daemon.get("/proxy/healthz", headers={"X-Request-Id": 'a"b c'})
        ids = [entry["id"] for entry in self.entries(path, 2)]
        self.assertEqual(ids[0], "trace-42")
        self.assertNotIn(" ", ids[1])

    def test_a_long_target_is_cut_and_says_so(self):
        daemon, path = self.serve_logged()
        target = "/proxy/nope?" + "x" * 5000
        daemon.get(target)
        entry, = self.entries(path, 1)
        self.assertEqual((entry["target_cut_from"], target.startswith(entry["target"])), (len(target), True))
        self.assertLess(len(entry["target"]), 1000)

    def test_bytes_are_those_of_the_body_that_was_sent(self):
        daemon, path = self.serve_logged("--cache-ttl", "60s")
        coded = daemon.get(headers={"Accept-Encoding": "gzip"})
        daemon.request("HEAD", "/proxy/stats")
        self.assertEqual([e["bytes"] for e in self.entries(path, 2)], [len(coded.body), 0])

    def test_fields_of_the_request_are_not_written(self):
        daemon, path = self.serve_logged()
        daemon.get("/proxy/healthz", headers={"Authorization": "Bearer hidden-1", "Cookie": "hidden-2"})
        self.entries(path, 1)
        self.assertNotIn("hidden", path.read_text())

    def test_after_sighup_lines_go_to_a_new_file_of_the_old_name(self):
        daemon, path = self.serve_logged()
        daemon.get("/proxy/healthz")
        self.entries(path, 1)
        rotated = path.with_suffix(".1")
        path.rename(rotated)
        daemon.process.send_signal(signal.SIGHUP)
        harness.wait_until("there is a new file", path.exists)
        daemon.get("/proxy/readyz")
        self.assertEqual(self.entries(path, 1)[0]["target"], "/proxy/readyz")
        self.assertEqual(len(entries_of(rotated.read_text().splitlines())), 1)

    def test_what_was_answered_before_the_end_is_written(self):
        daemon, path = self.serve_logged()
        for _ in range(20):
            daemon.get("/proxy/healthz")
        daemon.terminate()
        self.assertEqual(len(entries_of(path.read_text().splitlines())), 20)

    def test_without_the_flag_there_is_no_line_and_no_id(self):
        daemon = self.serve_ready()
        self.assertNotIn("X-Request-Id", daemon.get("/proxy/healthz").headers)
        self.assertEqual(entries_of(daemon.log()), [])

    def test_a_file_that_cannot_be_opened_stops_the_start_with_a_sentence(self):
        run = harness.run_gputach("serve", "--listen", "127.0.0.1:0", "--access-log", "/nonexistent/access")
        self.assertNotEqual(run.returncode, 0)
        self.assertRegex(run.stderr, r"\Agputach: [^\n]*/nonexistent/access[^\n]*No such file[^\n]*\n\Z")


class NeverInTheWay(harness.TestCase):
    def flood(self, daemon, requests):
        batch = 500
        for _ in range(requests // batch):
            with daemon.connect() as client:
                client.sendall(b"GET /proxy/healthz HTTP/1.1\r\nHost: e2e\r\n\r\n" * (batch - 1) +
                               b"GET /proxy/healthz HTTP/1.1\r\nHost: e2e\r\nConnection: close\r\n\r\n")
                answers = 0
                tail = b""
                while more := client.recv(1 << 20):
                    tail += more
                    answers += tail.count(b"HTTP/1.1 200 OK")
                    tail = tail[-14:]
                self.assertEqual(answers, batch)

    def dropped(self, daemon):
        return daemon.get("/proxy/v1/daemon").json()["access_log"]["dropped"]

    def test_a_reader_that_never_reads_costs_lines_and_no_request(self):
        path = self.folder() / "pipe"
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        daemon = self.serve_ready("h100x8-busy", "--access-log", str(path))
        self.flood(daemon, 10_000)
        self.assertGreater(self.dropped(daemon), 0)
        daemon.terminate()  # within its second

    def test_a_full_disk_costs_lines_and_no_request(self):
        daemon = self.serve_ready("h100x8-busy", "--access-log", "/dev/full")
        self.flood(daemon, 1000)
        harness.wait_until("the lines are counted as dropped", lambda: self.dropped(daemon) >= 1000)
        daemon.wait_for_log(r"warning access_log_not_written .*No space left")


if __name__ == "__main__":
    harness.main()
