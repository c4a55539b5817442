#!/usr/bin/env python3
"""The cache of one TTL: what is a HIT, what is a MISS, and how often the driver is asked."""

import datetime
import time

import harness

TTL_S = 1.0


def age(response, at):
    text = response.json()["timestamp"]
    moment = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc)
    return at - moment.timestamp()


def ask_for(daemon, seconds):
    """Asks without a pause; (time of the request, response) of each."""
    answers, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        answers.append((time.time(), daemon.get()))
    return answers


def wait_past(moment):
    harness.wait_until("the TTL passes", lambda: time.monotonic() > moment)


class Freshness(harness.TestCase):
    def test_miss_is_collected_for_this_request_and_hit_is_younger_than_the_ttl(self):
        daemon = self.serve_ready()
        answers = ask_for(daemon, 3.5)
        self.assertEqual(answers[0][1].cache, "MISS")
        self.assertEqual({response.cache for _, response in answers}, {"HIT", "MISS"})
        for at, response in answers:
            if response.cache == "MISS":
                self.assertLessEqual(age(response, at), 0.000001)  # it shows whole microseconds
            else:
                self.assertLess(age(response, at), TTL_S)

    def test_by_default_the_driver_is_asked_once_in_a_second(self):
        daemon = self.serve_ready()
        answers = ask_for(daemon, 3.5)
        misses = sum(response.cache == "MISS" for _, response in answers)
        self.assertEqual(daemon.passes(), misses)
        self.assertIn(misses, (3, 4), "passes in 3.5 s")
        self.assertGreater(len(answers), 20)

    def test_a_hit_is_the_same_bytes(self):
        daemon = self.serve_ready("rtx4090", "--cache-ttl", "60s", frozen=False)
        self.assertEqual(len({daemon.get().body for _ in range(20)}), 1)
        self.assertEqual(daemon.passes(), 1)

    def test_the_ttl_can_be_set(self):
        daemon = self.serve_ready("h100x8-busy", "--cache-ttl", "200ms")
        for at, response in ask_for(daemon, 1.5):
            if response.cache == "HIT":
                self.assertLess(age(response, at), 0.2)
        self.assertGreaterEqual(daemon.passes(), 4)

    def test_with_a_ttl_of_0_every_request_is_a_pass(self):
        daemon = self.serve_ready("h100x8-busy", "--cache-ttl", "0s")
        self.assertEqual({daemon.get().cache for _ in range(20)}, {"MISS"})
        self.assertEqual(daemon.passes(), 20)

    def test_nothing_is_read_before_somebody_asks(self):
        daemon = self.serve_ready()
        daemon.get("/proxy/healthz")
        daemon.get("/proxy/v1/")
        self.assertEqual(daemon.passes(), 0)


class SingleFlight(harness.TestCase):
    def slow_scenario(self):
        scenario = self.scenario_file("h100x8-busy")
        scenario.become("h100x8-busy", '\n[[fault]]\ngpu = 0\ncall = "nvmlDeviceGetPowerUsage"\ndelay_ms = 300\n')
        return scenario

    def test_200_requests_at_expiry_cause_one_pass_and_get_the_same_answer(self):
        daemon = self.serve_ready(frozen=False)
        for round_number in range(1, 4):
            with self.subTest(round_number):
                answers = daemon.simultaneous(200)
                taken = time.monotonic()
                self.assertEqual({answer.status for answer in answers}, {200})
                self.assertEqual(len({answer.body for answer in answers}), 1)
                self.assertIn("MISS", {answer.cache for answer in answers})
                self.assertEqual(daemon.passes(), round_number)
                wait_past(taken + TTL_S)

    def test_whoever_joins_a_pass_gets_its_answer_and_miss(self):
        daemon = self.serve_ready(self.slow_scenario(), "--nvml-timeout", f"{10 * harness.SCALE:.0f}s", frozen=False)
        answers = daemon.simultaneous(200)
        self.assertEqual({(answer.status, answer.cache) for answer in answers}, {(200, "MISS")})
        self.assertEqual(len({answer.body for answer in answers}), 1)
        self.assertEqual(daemon.passes(), 1)
        self.assertGreater(min(answer.seconds for answer in answers), 0.2)

    def test_plain_and_listed_pages_asked_together_come_from_one_pass(self):
        daemon = self.serve_ready(self.slow_scenario(), "--nvml-timeout", f"{10 * harness.SCALE:.0f}s")
        first, second = daemon.connect(), daemon.connect()
        with first, second:
            started = time.monotonic()
            first.sendall(b"GET /proxy/stats HTTP/1.1\r\nHost: e2e\r\n\r\n")
            second.sendall(b"GET /proxy/stats?missing=list HTTP/1.1\r\nHost: e2e\r\n\r\n")
            pages = [harness.read_response(client, started).json() for client in (first, second)]
        self.assertEqual(pages[0]["timestamp"], pages[1]["timestamp"])
        self.assertEqual(daemon.passes(), 1)

    def test_whoever_joins_a_pass_that_fails_gets_its_error_and_miss(self):
        daemon = self.serve_ready("hang?gpu=all", "--nvml-timeout", "700ms")
        answers = daemon.simultaneous(50)
        self.assertEqual({(answer.status, answer.cache, answer.body) for answer in answers},
                         {(500, "MISS", harness.query_error("NVML timed out after 0.7 s"))})
        self.assertEqual(daemon.passes(), 1)

    def test_clients_that_go_away_while_they_wait_harm_nobody(self):
        daemon = self.serve_ready(self.slow_scenario(), "--nvml-timeout", f"{10 * harness.SCALE:.0f}s")
        for _ in range(20):
            with daemon.connect() as client:
                client.sendall(b"GET /proxy/stats HTTP/1.1\r\nHost: e2e\r\n\r\n")
        response = daemon.get()
        self.assertEqual(response.status, 200)
        self.assertEqual(daemon.passes(), 1)


class Errors(harness.TestCase):
    def test_an_error_is_remembered_for_one_ttl(self):
        daemon = self.serve("no-gpus", "--cache-ttl", "500ms")
        daemon.wait_for_log("driver_refused")
        self.assertEqual(daemon.get().cache, "MISS")
        remembered = time.monotonic()
        self.assertEqual(daemon.get().cache, "HIT")
        wait_past(remembered + 0.5)
        self.assertEqual(daemon.get().cache, "MISS")

    def test_a_broken_driver_is_not_hammered(self):
        daemon = self.serve("driver-not-loaded")
        daemon.wait_for_log("driver_refused")
        began = time.monotonic()
        answers = ask_for(daemon, 4)
        seconds = time.monotonic() - began
        self.assertEqual({response.status for _, response in answers}, {500})
        self.assertGreater(len(answers), 20)
        attempts = daemon.count_calls("nvmlInit_v2")
        # The first is the daemon's own start; after that one in each TTL at most.
        self.assertLessEqual(attempts, 2 + seconds / TTL_S)
        self.assertGreaterEqual(attempts, 2)

    def test_a_driver_that_hangs_is_not_hammered(self):
        daemon = self.serve_ready("hang?gpu=all", "--nvml-timeout", "300ms")
        began = time.monotonic()
        answers = ask_for(daemon, 4)
        seconds = time.monotonic() - began
        self.assertEqual({response.status for _, response in answers}, {500})
        self.assertLessEqual(daemon.passes(), 1 + seconds / (TTL_S + 0.3))


if __name__ == "__main__":
    harness.main()
