#!/usr/bin/env python3
"""The same requests to gputach and to nginx: where we differ is written down, with the reason, and is what happens."""

import os
import re
import shutil
import socket
import subprocess
import unittest

import differential_report
import harness
from differential_cases import GROUPS, SECOND

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
CASES = [case for cases in GROUPS.values() for case in cases]

CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 64k;
  lingering_timeout 100ms;
  merge_slashes off;
  server {{
    listen 127.0.0.1:{port};
    location = /proxy/stats {{
      if ($request_method = OPTIONS) {{ return 204; }}
      if ($request_method !~ ^(GET|HEAD)$) {{ return 405; }}
      return 200 "{{}}";
    }}
    location / {{ return 404; }}
  }}
}}
"""


class Nginx:
    def __init__(self, folder):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        configuration = folder / "nginx.conf"
        configuration.write_text(CONFIGURATION.format(folder=folder, port=self.port))
        self.process = subprocess.Popen([NGINX, "-p", str(folder), "-c", str(configuration)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        harness.wait_until("nginx listens", self.listens)

    def listens(self):
        if self.process.poll() is not None:
            raise AssertionError(f"nginx ended: {self.process.stderr.read().decode()}")
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except ConnectionRefusedError:
            return False
        return True

    def stop(self):
        self.process.terminate()
        self.process.wait(harness.PATIENCE_S)
        self.process.stderr.close()


def statuses(data, head_first):
    """Of the responses in `data`, in order. What is no response is named by its first bytes."""
    found = []
    while data:
        head, end, rest = data.partition(b"\r\n\r\n")
        if not data.startswith(b"HTTP/1.1 ") or not end:
            return (*found, bytes(data[:20]))
        status = int(head.split()[1])
        length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
        has_body = status >= 200 and status != 204 and not (head_first and not found)
        length = int(length.group(1)) if length and has_body else 0
        if len(rest) < length:
            return (*found, "cut off")
        found.append(status)
        data = rest[length:]
    return tuple(found)


def outcome(port, sent, pieces):
    with socket.create_connection(("127.0.0.1", port), timeout=harness.PATIENCE_S) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = b""
        try:
            for at in range(0, len(sent), pieces):
                client.sendall(sent[at : at + pieces])
            client.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all of it was sent; what was answered can still be read
        try:
            while more := client.recv(65536):
                data += more
        except ConnectionResetError:
            pass
    return statuses(data, sent.startswith(b"HEAD "))


class Differential(harness.TestCase):
    def compare(self, port, expected, pieces):
        for case in CASES:
            with self.subTest(case.name):
                sent = case.sent + SECOND
                self.assertEqual(outcome(port, sent, pieces or len(sent)), expected(case))

    def test_gputach_answers_as_listed(self):
        self.compare(self.serve_ready().port, lambda case: case.outcome, 0)

    def test_gputach_answers_the_same_when_the_bytes_come_in_pieces(self):
        self.compare(self.serve_ready().port, lambda case: case.outcome, 7)

    @unittest.skipUnless(NGINX or os.environ.get("CI"), "NOT RUN: nginx is not installed")
    def test_nginx_answers_as_listed(self):
        self.assertIsNotNone(NGINX, "where everything is checked, nginx is installed")
        nginx = Nginx(self.folder())
        self.addCleanup(nginx.stop)
        self.compare(nginx.port, lambda case: case.nginx_outcome, 0)


class Table(harness.TestCase):
    def test_no_answer_is_that_of_a_hidden_request(self):
        for case in CASES:
            with self.subTest(case.name):
                own = 1 if case.sent.startswith(b"OPTIONS") else 0
                self.assertEqual(case.outcome.count(204), own)
                self.assertTrue(len(case.outcome) < 2 or case.outcome[-1] == 404, "the second answer is its own")

    def test_each_difference_has_a_reason_that_names_its_rule_and_nothing_else_has_one(self):
        self.assertEqual(len({case.name for case in CASES}), len(CASES))
        for case in CASES:
            with self.subTest(case.name):
                if case.nginx is None:
                    self.assertEqual(case.why, "")
                else:
                    self.assertNotEqual(case.nginx, case.outcome)
                    self.assertRegex(case.why, r"^(RFC \d{4} section [\d.]+|Own choice): .+\.$")

    def test_the_document_has_these_rows(self):
        self.assertEqual(differential_report.DOCUMENT.read_text(), differential_report.text())


if __name__ == "__main__":
    harness.main()
