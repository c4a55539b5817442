#!/usr/bin/env python3
"""The file of --config: values, precedence, errors, and what SIGHUP makes of it and of the token files."""

import signal

import harness


class ConfigTestCase(harness.TestCase):
    def setUp(self):
        self.path = self.folder() / "gputach.toml"

    def write(self, text):
        fresh = self.path.with_suffix(".new")
        fresh.write_text(text)
        fresh.rename(self.path)

    def serve_file(self, text, *flags, **more):
        self.write(text)
        return self.serve_ready("h100x8-busy", "--config", str(self.path), *flags, **more)

    def reload(self, daemon, text=None, count=1):
        """Sends SIGHUP; the `count`-th line about a reload as (changed, needs_restart)."""
        if text is not None:
            self.write(text)
        daemon.process.send_signal(signal.SIGHUP)
        line = daemon.wait_for_log(r"info reloaded changed=(\S+) needs_restart=(\S+)", count=count)
        return line.groups()

    def refuse(self, daemon, text, count=1):
        self.write(text)
        daemon.process.send_signal(signal.SIGHUP)
        return daemon.wait_for_log(r"warning reload_refused reason=(.*)", count=count).group(1)


class File(ConfigTestCase):
    def test_keys_are_flags_and_lists_may_be_arrays(self):
        daemon = self.serve_file(f'listen = ["127.0.0.1:0", "127.0.0.2:0"]\ndevices = [3, 5]\ncache-ttl = "30s"\n'
                                 f'nvml-library = "{harness.SIMULATOR}"\ncors-origin = "https://a.example"\n',
                                 listen=None, library=None)
        addresses = daemon.wait_for_log(r"listening address=(\S+)").group(1).split(",")
        self.assertEqual([address.rpartition(":")[0] for address in addresses], ["127.0.0.1", "127.0.0.2"])
        response = daemon.get()
        self.assertEqual([gpu["index"] for gpu in response.json()["gpus"]], [3, 5])
        self.assertEqual(response.headers["Access-Control-Allow-Origin"], "https://a.example")

    def test_the_command_line_goes_before_the_variable_and_that_before_the_file(self):
        text = 'devices = 1\ncors-origin = "file"\ncache-ttl = "30s"\n'
        daemon = self.serve_file(text, "--cors-origin", "line",
                                 environment={"GPUTACH_DEVICES": "3", "GPUTACH_CORS_ORIGIN": "variable"})
        response = daemon.get()
        self.assertEqual([gpu["index"] for gpu in response.json()["gpus"]], [3])
        self.assertEqual(response.headers["Access-Control-Allow-Origin"], "line")

    def test_the_variable_names_the_file_and_other_commands_share_it(self):
        self.write(f'devices = 3\nlisten = "127.0.0.1:0"\nnvml-library = "{harness.SIMULATOR}"\n')
        environment = {"GPUTACH_CONFIG": str(self.path), "GPUTACH_SIM_SCENARIO": "h100x8-busy"}
        run = harness.run_gputach("once", environment=environment)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn('"index":3', run.stdout.replace(" ", ""))

    def test_an_error_is_one_sentence_with_file_line_and_key_and_status_2(self):
        for text, wanted in (
                ('\ncache-ttl = "soon"\n', ':2 cache-ttl: "soon" is not a duration'),
                ("connections-max = 0\n", ':1 connections-max: "0" is not a number between 1 and 1000000'),
                ('\n\nnope = 1\n', ':3: "nope" is no flag'),
                ('config = "x"\n', ':1: "config" cannot stand in the file itself'),
                ("devices = [1, \n", ":1: "),
                ("[serve]\n", ':1: "serve" is no flag')):
            with self.subTest(text):
                self.write(text)
                run = harness.run_gputach("serve", "--config", str(self.path))
                self.assertEqual((run.returncode, run.stdout), (2, ""), run.stderr)
                self.assertRegex(run.stderr, r"\Agputach: [^\n]+\n\Z")
                self.assertIn(str(self.path) + wanted, run.stderr)

    def test_a_file_larger_than_1_mib_is_refused(self):
        self.write("#" * ((1 << 20) + 1))
        run = harness.run_gputach("serve", "--config", str(self.path))
        self.assertEqual(run.returncode, 2)
        self.assertIn(f"{self.path} holds more than 1048576 bytes", run.stderr)


class Reload(ConfigTestCase):
    def test_sighup_without_a_file_changes_nothing_and_ends_nothing(self):
        daemon = self.serve_ready()
        self.assertEqual(self.reload(daemon), ("none", "none"))
        self.assertEqual(daemon.get("/proxy/healthz").status, 200)

    def test_new_values_hold_while_connections_live_on(self):
        daemon = self.serve_file('cors-origin = "before"\ncache-ttl = "60s"\n')
        with daemon.connect() as client:
            def answer():
                client.sendall(b"GET /proxy/stats HTTP/1.1\r\nHost: e2e\r\n\r\n")
                return harness.read_response(client, 0)

            self.assertEqual(answer().headers["Access-Control-Allow-Origin"], "before")
            self.assertEqual(answer().cache, "HIT")
            changed = self.reload(daemon, 'cors-origin = "after"\ncache-ttl = "0s"\n')
            self.assertEqual(changed, ("cache-ttl,cors-origin", "none"))
            harness.wait_until("the new origin", lambda: answer().headers["Access-Control-Allow-Origin"] == "after")
            self.assertEqual(answer().cache, "MISS")

    def test_the_page_about_flags_shows_what_holds_and_why(self):
        daemon = self.serve_file("cache-ttl = '2s'\n", "--private-listen", "127.0.0.1:0",
                                 environment={"GPUTACH_CORS_ORIGIN": "variable"})
        daemon.port = int(daemon.wait_for_log(r"private_address=127\.0\.0\.1:(\d+)").group(1))

        def flag(name):
            row = daemon.get("/proxy/v1/config").json()["flags"][name]
            return row["value"], row["origin"], row["reload"]

        self.assertEqual(flag("cache-ttl"), ("2s", f"{self.path}:1 cache-ttl", "live"))
        self.assertEqual(flag("cors-origin"), ("variable", "GPUTACH_CORS_ORIGIN", "live"))
        self.assertEqual(flag("listen"), ("127.0.0.1:0", "--listen", "restart"))
        self.assertEqual(flag("devices"), ("", "default", "restart"))
        self.reload(daemon, "devices = 1\n\ncache-ttl = '3s'\n")
        harness.wait_until("the new value", lambda: flag("cache-ttl") == ("3s", f"{self.path}:3 cache-ttl", "live"))
        self.assertEqual(flag("devices"), ("", "default", "restart"))

    def test_limits_change(self):
        daemon = self.serve_file("head-bytes-max = '16KiB'\n")
        large = {"Padding": "a" * 2000}
        self.assertEqual(daemon.get("/proxy/healthz", headers=large).status, 200)
        self.assertEqual(self.reload(daemon, "head-bytes-max = 1024\n"), ("head-bytes-max", "none"))
        harness.wait_until("the new limit", lambda: daemon.get("/proxy/healthz", headers=large).status == 431)

    def test_the_log_level_changes(self):
        daemon = self.serve_file("log-level = 'info'\n")
        self.assertEqual(self.reload(daemon, "log-level = 'error'\n"), ("log-level", "none"))
        daemon.process.send_signal(signal.SIGHUP)  # its line is not written
        daemon.terminate()
        self.assertEqual(sum(" reloaded " in line for line in daemon.log()), 1, daemon.log())
        self.assertFalse(any(" stopping " in line for line in daemon.log()), daemon.log())

    def test_what_needs_a_restart_is_named_until_then(self):
        daemon = self.serve_file("cors-origin = 'before'\n")
        text = "devices = 1\nnvml-timeout = '3s'\ncors-origin = 'after'\n"
        self.assertEqual(self.reload(daemon, text), ("cors-origin", "devices,nvml-timeout"))
        self.assertEqual(self.reload(daemon, text, count=2), ("none", "devices,nvml-timeout"))
        self.assertEqual(len(daemon.stats()["gpus"]), 8)

    def test_a_reload_that_finds_anything_wrong_changes_nothing(self):
        daemon = self.serve_file("cors-origin = 'before'\n")
        for count, (text, wanted) in enumerate((
                ("cors-origin = 'after'\ncache-ttl = 'soon'\n", ":2 cache-ttl:"),
                ("cors-origin = 'after'\nnope = 1\n", ":2: "),
                ("cors-origin = 'after'\ndevices = 'x'\n", ":2 devices:"),
                ("cors-origin = 'after'\ntoken-files = 'admin=/nonexistent'\n", "/nonexistent"),
                ("cors-origin = 'after\n", ":1: ")), start=1):
            with self.subTest(text):
                self.assertIn(wanted, self.refuse(daemon, text, count))
                self.assertEqual(daemon.get().headers["Access-Control-Allow-Origin"], "before")
        self.assertEqual(self.reload(daemon, "cors-origin = 'after'\n"), ("cors-origin", "none"))

    def test_many_signals_at_once_end_nothing(self):
        daemon = self.serve_file("")
        for _ in range(200):
            daemon.process.send_signal(signal.SIGHUP)
        self.reload(daemon, "cache-ttl = '2s'\n")
        self.assertEqual(daemon.get("/proxy/healthz").status, 200)

    def test_a_new_worker_has_the_values_of_the_start(self):
        daemon = self.serve_file("devices = [1, 2]\ncache-ttl = '0s'\n")
        self.reload(daemon, "devices = 3\ncache-ttl = '0s'\n")
        self.assertEqual([gpu["index"] for gpu in daemon.stats()["gpus"]], [1, 2])


class TokenFiles(ConfigTestCase):
    def setUp(self):
        super().setUp()
        self.token = self.path.with_name("token")

    def status(self, daemon, token=None):
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return daemon.get("/proxy/version", headers=headers).status

    def test_a_token_is_asked_for_and_its_file_read_again(self):
        self.token.write_text("first-secret\n")
        daemon = self.serve_ready("h100x8-busy", "--token-files", f"read={self.token}")
        self.assertEqual(self.status(daemon), 401)
        self.assertEqual(self.status(daemon, "first-secret"), 200)
        self.assertEqual(daemon.get().status, 200)  # of another exposure
        self.token.write_text("second-secret\n")
        self.assertEqual(self.reload(daemon), ("token-files", "none"))
        harness.wait_until("the new token", lambda: self.status(daemon, "second-secret") == 200)
        self.assertEqual(self.status(daemon, "first-secret"), 401)

        self.token.write_text("not a token\n")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for_log("reload_refused")
        self.assertEqual(self.status(daemon, "second-secret"), 200)
        self.assertFalse([line for line in daemon.log() if "secret" in line or "not a token" in line])

    def test_a_file_without_a_token_stops_the_start_with_one_sentence(self):
        for text, wanted in (("", "holds no token"), ("a b", "characters"), ("a" * 4097, "more than 4096 bytes")):
            with self.subTest(wanted):
                self.token.write_text(text)
                run = harness.run_gputach("serve", "--listen", "127.0.0.1:0", "--token-files", f"admin={self.token}")
                self.assertEqual((run.returncode, run.stdout), (1, ""))
                self.assertRegex(run.stderr, rf"\Agputach: [^\n]*{self.token}[^\n]*{wanted}[^\n]*\n\Z")


if __name__ == "__main__":
    harness.main()
