#!/usr/bin/env python3
"""The command line: help, version, documentation, bad values, environment variables, addresses."""

import re
import shutil
import socket
import subprocess
import time

import expected
import harness

# A value that each flag refuses; the others take any path.
ANY_PATH = {"nvml-library", "tls-certificate", "tls-key", "upstream-ca"}
BAD_ADDRESSES = ("8080", "localhost", "127.0.0.1:http", "127.0.0.1:99999", "127.0.0.1:-1", "unix:",
                 "tls:8443", "udp:[::]:1")
BAD_TIMEOUTS = ("10", "0s", "99ms", "61m", "-1s", "1h", "")
BAD_VALUES = {
    "listen": (*BAD_ADDRESSES, ""),
    "private-listen": BAD_ADDRESSES,
    "token-files": ("x", "admin", "admin=", "nobody=/x", "admin=/x,", "admin=/x,admin=/y"),
    "devices": ("x", "-1", "1,", "64", "GPU-", "1;2"),
    "nvml-timeout": ("2", "0s", "1ms", "61s", "-1s", "2 s", "s", ""),
    "cache-ttl": ("1", "-1s", "61s", "1h", "nans", "infs", ""),
    "cors-origin": ("a b", "a,b", "a\r\nb: c", "\x7f"),
    "connections-max": ("0", "-1", "1000001", "many", "1.5", ""),
    "head-bytes-max": ("0", "1023", "1025KiB", "16KB", "16 KiB", "-1", "1.5KiB", ""),
    "body-bytes-max": ("-1", "17MiB", "64K", "99999999999999999999", ""),
    "requests-per-connection-max": ("-1", "1000000001", "1KiB", ""),
    "pipelined-before-yield": ("0", "10001", "many", ""),
    "head-timeout": BAD_TIMEOUTS,
    "idle-timeout": BAD_TIMEOUTS,
    "write-timeout": BAD_TIMEOUTS,
    "upstream": ("127.0.0.1:8000", "http://engine:8000", "http://127.0.0.1:8000/v1", "ftp://127.0.0.1", "unix:"),
    "upstream-tls-verify": ("", "no", "ON", "true"),
    "allow-paths": ("v1", "preset:nobody"),
    "deny-paths": ("v1", "preset:nobody"),
    "upstream-connections-max": ("0", "-1", "100001", ""),
    "upstream-queue-max": ("-1", "100001", ""),
    "upstream-queue-timeout": BAD_TIMEOUTS,
    "upstream-connect-timeout": (*BAD_TIMEOUTS, "61s"),
    "upstream-reuse-within": ("1", "-1s", "61m", ""),
    "body-timeout": BAD_TIMEOUTS,
    "ready-requires": ("engines", "engine;gpu", "engine,"),
    "drain-timeout": ("1", "-1s", "25h", ""),
    "access-log": ("",),
    "config": ("/nonexistent/gputach.toml", "/"),
    "log-level": ("loud", "INFO", "2", ""),
}  # fmt: skip


def variable(flag):
    return "GPUTACH_" + flag.upper().replace("-", "_")


class Help(harness.TestCase):
    def test_help_prints_to_standard_output_and_exits_0(self):
        for arguments in (["--help"], ["-h"], ["serve", "--help"], ["serve", "-h"]):
            with self.subTest(arguments):
                run = harness.run_gputach(*arguments)
                self.assertEqual((run.returncode, run.stderr), (0, ""))
                self.assertIn("Usage: gputach", run.stdout)

    def test_help_and_the_documentation_name_every_flag_its_variable_and_its_default(self):
        shown, page = harness.run_gputach("serve", "--help").stdout, harness.run_gputach("docs", "flags").stdout
        rows = re.findall(r"^\| `--([a-z-]+) ([A-Z]+)` \| `(GPUTACH_[A-Z_]+)` \| (?:`(.*?)`)? \| (?:live|restart) "
                          r"\| (.+) \|$", page, re.M)
        self.assertEqual({row[0] for row in rows}, {*BAD_VALUES, *ANY_PATH})
        words = " ".join(shown.split())
        for flag, _, name, default, text in rows:
            with self.subTest(flag):
                self.assertEqual(name, variable(flag))
                self.assertIn("--" + flag, shown)
                self.assertIn(name, shown)
                self.assertIn(" ".join(text.split()), words)
                self.assertIn(default, shown)

    def test_version_prints_one_line(self):
        run = harness.run_gputach("version")
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        self.assertRegex(run.stdout, r"\Agputach \d+\.\d+\.\d+ \(\w+, .+\)\n\Z")


class BadValues(harness.TestCase):
    def assert_refused(self, run, *names):
        self.assertEqual((run.returncode, run.stdout), (2, ""), run.stderr)
        self.assertRegex(run.stderr, r"\Agputach: [^\n]+\n\Z")  # one sentence
        for name in names:
            self.assertIn(name, run.stderr)

    def test_a_bad_value_stops_the_start_with_one_sentence_that_names_the_flag_and_status_2(self):
        for flag, values in BAD_VALUES.items():
            for value in values:
                with self.subTest(flag=flag, value=value):
                    self.assert_refused(harness.run_gputach("serve", f"--{flag}", value), "--" + flag)

    def test_a_bad_variable_is_refused_by_its_own_name(self):
        for flag, values in BAD_VALUES.items():
            with self.subTest(flag):
                run = harness.run_gputach("serve", environment={variable(flag): values[0]})
                self.assert_refused(run, variable(flag), values[0])

    def test_what_gputach_does_not_know_is_refused(self):
        for arguments in ([], ["serv"], ["serve", "--nope"], ["serve", "--listen"], ["serve", "extra"], ["--nope"],
                          ["docs"], ["docs", "nope"], ["version", "--listen", "[::]:0"]):
            with self.subTest(arguments):
                self.assert_refused(harness.run_gputach(*arguments))

    def test_a_variable_of_no_flag_is_nobodys_business(self):
        self.serve(environment={"GPUTACH_SOMETHING_ELSE": "x"})


class Variables(harness.TestCase):
    def test_a_variable_is_the_flag(self):
        daemon = self.serve(environment={
            "GPUTACH_LISTEN": "127.0.0.1:0", "GPUTACH_NVML_LIBRARY": str(harness.SIMULATOR), "GPUTACH_DEVICES": "3",
            "GPUTACH_CORS_ORIGIN": "https://a.example", "GPUTACH_CACHE_TTL": "30s"}, library=None, listen=None)
        daemon.wait_ready()
        response = daemon.get()
        self.assertEqual([gpu["index"] for gpu in response.json()["gpus"]], [3])
        self.assertEqual(response.headers["Access-Control-Allow-Origin"], "https://a.example")

    def test_the_command_line_goes_before_the_variable(self):
        daemon = self.serve_ready("h100x8-busy", "--devices", "5", environment={
            "GPUTACH_DEVICES": "3", "GPUTACH_LISTEN": "192.0.2.1:1", "GPUTACH_NVML_LIBRARY": "/nonexistent"})
        self.assertEqual([gpu["index"] for gpu in daemon.stats()["gpus"]], [5])

    def test_an_empty_variable_means_what_the_empty_flag_means(self):
        daemon = self.serve_ready(environment={"GPUTACH_DEVICES": ""})
        self.assertEqual(daemon.stats()["gpus"], expected.rows("h100x8-busy"))

    def test_the_log_level_can_be_set(self):
        daemon = self.serve("h100x8-busy", "--log-level", "info")
        daemon.wait_ready()
        daemon.terminate()
        self.assertTrue(all(re.match(r"\d{4}-\d\d-\d\dT[\d:.]{15}Z (info|warning|error) \w+", line)
                            for line in daemon.log()), daemon.log())


class Addresses(harness.TestCase):
    def test_port_0_picks_a_free_one_and_the_log_says_which_in_one_line(self):
        first, second = self.serve(), self.serve()
        self.assertNotIn(first.port, (0, second.port))
        for daemon in (first, second):
            self.assertEqual(daemon.get("/proxy/healthz").status, 200)
            self.assertEqual(len([line for line in daemon.log() if " listening " in line]), 1)

    def test_the_line_is_written_when_connections_are_taken(self):
        for _ in range(5):
            self.assertEqual(self.serve().get("/proxy/healthz").status, 200)

    def test_the_unspecified_address_serves_both_families(self):
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError as error:
            self.skipTest(f"NOT RUN: no IPv6 here ({error})")
        daemon = self.serve(listen="[::]:0")
        for daemon.host in ("127.0.0.1", "::1"):
            self.assertEqual(daemon.get("/proxy/healthz").status, 200)

    def test_several_addresses(self):
        daemon = self.serve(listen="127.0.0.1:0,127.0.0.2:0")
        addresses = daemon.wait_for_log(r"listening address=(\S+)").group(1).split(",")
        self.assertEqual([address.rpartition(":")[0] for address in addresses], ["127.0.0.1", "127.0.0.2"])
        for address in addresses:
            daemon.host, _, port = address.rpartition(":")
            daemon.port = int(port)
            self.assertEqual(daemon.get("/proxy/healthz").status, 200)

    def test_the_default_is_port_8080_of_every_address(self):
        if shutil.which("unshare") is None:
            self.skipTest("NOT RUN: unshare is not installed")
        isolated = ["unshare", "--map-root-user", "--net"]  # a network of its own: the port is free in it
        if subprocess.run([*isolated, "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("NOT RUN: this machine allows no network namespaces")
        daemon = self.start(listen=None, prefix=isolated)
        address = daemon.wait_for_log(r"listening address=(\S+)").group(1)
        self.assertEqual(address, "[::]:8080")

    def test_a_port_in_use_is_one_sentence_and_a_status_and_leaves_nothing(self):
        holder = self.serve()
        started = time.monotonic()
        daemon = self.start(listen=f"127.0.0.1:{holder.port}")
        status = daemon.process.wait(harness.PATIENCE_S)
        self.assertNotIn(status, (0, 2))
        self.assertLess(time.monotonic() - started, 1 * harness.SCALE)
        daemon.judge(status, status)
        self.assertEqual(len(daemon.log()), 1, daemon.log())
        self.assertRegex(daemon.log()[0], rf"^gputach: .*127\.0\.0\.1:{holder.port}.*in use")
        self.assertEqual(holder.get("/proxy/healthz").status, 200)


if __name__ == "__main__":
    harness.main()
