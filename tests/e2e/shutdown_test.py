#!/usr/bin/env python3
"""SIGTERM: exit status 0 within a second whatever is going on, nothing left, and no client left hanging."""

import signal
import threading
import time

import harness

SECOND = 1 * harness.SCALE


class Load:
    """Clients that ask without a pause; what they saw after the end began is judged by the test."""

    def __init__(self, daemon, clients):
        self.statuses, self.broken, self.stopping = [], [], threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(daemon,)) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _ask(self, daemon):
        while not self.stopping.is_set():
            try:
                self.statuses.append(daemon.get(timeout=harness.PATIENCE_S).status)
            except TimeoutError:
                self.broken.append("a client was left hanging")
                return
            except OSError:  # refused or closed: the end has come
                return
            except Exception as error:  # half an answer would be one
                self.broken.append(repr(error))
                return

    def end(self):
        self.stopping.set()
        for thread in self._threads:
            thread.join(harness.PATIENCE_S)
        if any(thread.is_alive() for thread in self._threads):
            raise AssertionError("a client does not end")


class Shutdown(harness.TestCase):
    # Daemon.terminate() checks status, time, processes, sanitizers and standard output.

    def test_idle(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number.name):
                daemon = self.serve_ready()
                daemon.stats()
                daemon.terminate(number)
                daemon.wait_for_log(f"stopping signal={number.name}")

    def test_at_once_after_the_start(self):
        for scenario in ("h100x8-busy", "slow-start", "driver-not-loaded"):
            with self.subTest(scenario):
                self.serve(scenario).terminate()

    def test_with_the_broken_driver_that_is_tried_again(self):
        daemon = self.serve("driver-not-loaded", "--cache-ttl", "0s")
        daemon.wait_for_log("worker_exited")
        daemon.get()
        daemon.terminate()

    def test_under_load(self):
        daemon = self.serve_ready("h100x8-busy", "--cache-ttl", "10ms")
        load = Load(daemon, 16)
        try:
            harness.wait_until("the clients are at it", lambda: len(load.statuses) > 200)
            daemon.terminate()
        finally:
            load.end()
        self.assertEqual(set(load.statuses) - {503}, {200})

    def test_with_a_hung_worker(self):
        daemon = self.serve_ready("hang?gpu=all", "--nvml-timeout", "30s")
        with daemon.connect() as client:
            client.sendall(b"GET /proxy/stats HTTP/1.1\r\nHost: e2e\r\n\r\n")
            harness.wait_until("the worker hangs", lambda: daemon.passes() == 1)
            daemon.terminate()

    def test_with_a_stopped_worker(self):
        daemon = self.serve_ready()
        harness.freeze(daemon.worker())
        daemon.terminate()

    def test_with_a_stopped_spawner(self):
        daemon = self.serve_ready()
        harness.freeze(daemon.spawner())
        daemon.terminate()

    def test_requests_that_wait_for_the_driver_get_an_answer_or_a_clean_end(self):
        daemon = self.serve_ready("hang?gpu=all", "--nvml-timeout", "30s")
        clients = [daemon.connect() for _ in range(20)]
        try:
            started = time.monotonic()
            for client in clients:
                client.sendall(b"GET /proxy/stats HTTP/1.1\r\nHost: e2e\r\n\r\n")
            harness.wait_until("the worker hangs", lambda: daemon.passes() == 1)
            daemon.get("/proxy/healthz")  # what was sent before has been read
            daemon.terminate()
            for client in clients:
                data = client.recv(65536)
                while data and (more := client.recv(65536)):
                    data += more
                if data:
                    head, _, body = data.partition(b"\r\n\r\n")
                    self.assertRegex(head, rb"\AHTTP/1\.1 50[03] ")
                    self.assertIn(f"Content-Length: {len(body)}".encode(), head)
                self.assertLess(time.monotonic() - started, harness.PATIENCE_S)
        finally:
            for client in clients:
                client.close()

    def test_idle_connections_are_closed(self):
        daemon = self.serve_ready()
        with daemon.connect() as asked, daemon.connect() as silent:
            asked.sendall(b"GET /proxy/stats HTTP/1.1\r\nHost: e2e\r\n\r\n")
            self.assertEqual(harness.read_response(asked, 0).status, 200)
            seconds = daemon.terminate()
            self.assertLess(seconds, SECOND)
            self.assertEqual(asked.recv(1), b"")
            self.assertEqual(silent.recv(1), b"")

    def test_the_port_is_free_afterwards(self):
        daemon = self.serve_ready()
        daemon.stats()
        daemon.terminate()
        self.assertEqual(self.serve(listen=f"127.0.0.1:{daemon.port}").get("/proxy/healthz").status, 200)

    def test_a_second_sigterm_changes_nothing(self):
        daemon = self.serve_ready("hang?gpu=all", "--nvml-timeout", "30s")
        with daemon.connect() as client:
            client.sendall(b"GET /proxy/stats HTTP/1.1\r\nHost: e2e\r\n\r\n")
            harness.wait_until("the worker hangs", lambda: daemon.passes() == 1)
            daemon.process.send_signal(signal.SIGTERM)
            daemon.wait_for_log("stopping")
            daemon.terminate()


if __name__ == "__main__":
    harness.main()
