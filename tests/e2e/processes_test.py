#!/usr/bin/env python3
"""Server, spawner, worker: who loads what, who survives whom, and that nothing is left."""

import os
import pathlib
import signal

import expected
import harness

RECOVERY_S = 5 * harness.SCALE
SIMULATOR = "libnvidia-ml.so"


def maps(pid):
    return pathlib.Path(f"/proc/{pid}/maps").read_text()


class Three(harness.TestCase):
    def test_there_are_exactly_three_processes(self):
        daemon = self.serve_ready()
        daemon.stats()
        self.assertEqual(sorted(p.comm for p in daemon.processes()), ["gputach", "gputach-spawner", "gputach-worker"])
        self.assertEqual({p.pid for p in daemon.processes()}, {daemon.pid, daemon.spawner(), daemon.worker()})

    def test_only_the_worker_has_the_vendors_library(self):
        daemon = self.serve_ready()
        daemon.stats()
        self.assertIn(SIMULATOR, maps(daemon.worker()))
        self.assertNotIn(SIMULATOR, maps(daemon.pid))
        self.assertNotIn(SIMULATOR, maps(daemon.spawner()))

    def test_the_spawner_has_one_thread_and_no_client_socket(self):
        daemon = self.serve_ready()
        daemon.stats()
        spawner = daemon.spawner()
        self.assertEqual(len(os.listdir(f"/proc/{spawner}/task")), 2 if harness.THREAD_SANITIZER else 1)
        listening = {os.readlink(f"/proc/{daemon.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{daemon.pid}/fd")}
        held = {os.readlink(f"/proc/{spawner}/fd/{fd}") for fd in os.listdir(f"/proc/{spawner}/fd")}
        shared = {target for target in listening & held if target.startswith("socket:")}
        self.assertEqual(shared, set())

    def test_the_worker_holds_one_socket_and_no_file_of_the_server(self):
        daemon = self.serve_ready()
        held = [os.readlink(f"/proc/{daemon.worker()}/fd/{fd}") for fd in os.listdir(f"/proc/{daemon.worker()}/fd")]
        self.assertEqual(len([target for target in held if target.startswith("socket:")]), 1, held)

    def test_a_signal_to_the_spawner_or_the_worker_does_not_end_them(self):
        # As a terminal or an init system sends them to a whole group; the server decides about the end.
        daemon = self.serve_ready("h100x8-busy", "--cache-ttl", "0s")
        before = sorted(p.pid for p in daemon.processes())
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(daemon.spawner(), number)
            os.kill(daemon.worker(), number)
        for _ in range(20):
            self.assertEqual(daemon.get().status, 200)
        self.assertEqual(sorted(p.pid for p in daemon.processes()), before)


class Deaths(harness.TestCase):
    def test_when_the_server_is_killed_nothing_is_left_within_a_second(self):
        for scenario in ("h100x8-busy", "hang?gpu=all", "slow-start", "driver-not-loaded"):
            with self.subTest(scenario):
                daemon = self.serve(scenario)
                daemon.spawner()
                if scenario != "driver-not-loaded":
                    daemon.worker()
                daemon.process.kill()
                status = daemon.process.wait(harness.PATIENCE_S)
                daemon.judge(status, -signal.SIGKILL)

    def test_when_the_server_is_killed_a_stopped_worker_goes_too(self):
        daemon = self.serve_ready()
        harness.freeze(daemon.worker())
        daemon.process.kill()
        daemon.judge(daemon.process.wait(harness.PATIENCE_S), -signal.SIGKILL)

    def test_when_the_spawner_is_killed_its_worker_goes_and_both_are_replaced(self):
        daemon = self.serve_ready("h100x8-busy", "--cache-ttl", "0s")
        daemon.stats()
        worker, spawner = daemon.worker(), daemon.spawner()
        os.kill(spawner, signal.SIGKILL)
        harness.wait_until("the worker has gone", lambda: worker not in [p.pid for p in daemon.processes()], RECOVERY_S)
        daemon.wait_for_log("spawner_lost")
        self.assertEqual(daemon.get("/proxy/healthz").status, 200)
        harness.wait_until("the figures are back", lambda: daemon.get().status == 200, RECOVERY_S)
        daemon.wait_for_log("spawner_replaced")
        self.assertNotEqual(daemon.spawner(), spawner)
        self.assertEqual(len(daemon.processes()), 3)

    def test_the_server_still_ends_well_after_that(self):
        daemon = self.serve_ready()
        os.kill(daemon.spawner(), signal.SIGKILL)
        daemon.wait_for_log("spawner_lost")
        daemon.terminate()


class Leaks(harness.TestCase):
    def test_50_killed_workers_leave_no_zombie_and_no_descriptor(self):
        daemon = self.serve_ready("h100x8-busy", "--cache-ttl", "0s")
        self.kill_worker_and_wait(daemon)
        server, spawner = harness.descriptors(daemon.pid), harness.descriptors(daemon.spawner())
        for _ in range(50):
            self.kill_worker_and_wait(daemon)
        self.assertEqual(len(daemon.processes()), 3)
        self.assertEqual({p.pid for p in daemon.processes() if p.state == "Z"}, set())
        self.settle(daemon, server)
        self.assertEqual(harness.descriptors(daemon.spawner()), spawner)

    def kill_worker_and_wait(self, daemon):
        old = daemon.worker()
        os.kill(old, signal.SIGKILL)
        harness.wait_until("a new worker answers", lambda: daemon.get().status == 200 and daemon.worker() != old,
                           RECOVERY_S)
        self.assertLessEqual(len([p for p in daemon.processes() if p.pid not in (daemon.pid, daemon.spawner())]), 1)

    def settle(self, daemon, wanted):
        harness.wait_until(f"the server holds {wanted} descriptors again",
                           lambda: harness.descriptors(daemon.pid) <= wanted)

    def test_hung_workers_leave_no_zombie_and_no_descriptor(self):
        daemon = self.serve_ready("hang?gpu=all", "--nvml-timeout", "100ms", "--cache-ttl", "0s")
        before = harness.descriptors(daemon.pid)
        harness.wait_until("several workers were killed", lambda: daemon.get().status == 500 and len(
            [line for line in daemon.log() if "worker_exited" in line]) >= 5, 60 * harness.SCALE)
        self.assertLessEqual(len(daemon.processes()), 3)
        self.assertLessEqual(harness.descriptors(daemon.pid), before)

    def test_2000_connections_leave_no_descriptor(self):
        daemon = self.serve_ready()
        daemon.stats()
        before = harness.descriptors(daemon.pid)
        for batch in range(10):
            for answer in daemon.simultaneous(200):
                self.assertEqual(answer.status, 200, batch)
        self.settle(daemon, before)

    def test_connections_that_ask_nothing_or_half_a_request_leave_none_either(self):
        daemon = self.serve_ready()
        daemon.stats()
        before = harness.descriptors(daemon.pid)
        half = b"GET /proxy/stats HTTP/1.1\r\nHost: e2e\r\n"
        for text in (b"", b"GET /proxy/st", half, b"\x16\x03\x01nonsense\r\n\r\n"):
            clients = [daemon.connect() for _ in range(50)]
            for client in clients:
                client.sendall(text)
            for client in clients:
                client.close()
        self.settle(daemon, before)
        self.assertEqual(daemon.stats()["gpus"], expected.rows("h100x8-busy"))


if __name__ == "__main__":
    harness.main()
