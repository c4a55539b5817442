#!/usr/bin/env python3
"""docs/api.md says what the binary does: fields, routes, errors."""

import re

import clients
import expected
import harness


def first_column(heading):
    """The quoted words that begin the rows of the first table below a heading."""
    section = clients.API.read_text().split(f"\n{heading}\n", 1)[1]
    table = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE).group()
    return re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)


class Documentation(harness.TestCase):
    def test_every_field_is_described_in_the_order_of_the_page(self):
        self.assertEqual(first_column("## GET /proxy/stats"), ["timestamp", "gpus", *expected.KEYS])

    def test_every_route_is_described(self):
        daemon = self.serve("h100x8-busy", "--private-listen", "127.0.0.1:0")
        daemon.port = int(daemon.wait_for_log(r"private_address=127\.0\.0\.1:(\d+)").group(1))
        listed = [route["path"] for route in daemon.get("/proxy/v1/").json()["routes"]]
        self.assertEqual(sorted(["/proxy/stats", *first_column("## Other pages")]), sorted(listed))

    def test_every_reason_for_an_error_is_described(self):
        reasons = first_column("### Errors")
        self.assertEqual(reasons, ["no GPUs found", "NVML not initialized", "NVML timed out after 2.0 s",
                                   "all GPUs failed", "worker stopped"])
        scenarios = ("no-gpus", "driver-not-loaded", "hang?gpu=all", "one-gpu-lost?gpu=all")
        for scenario, reason in zip(scenarios, reasons):
            with self.subTest(scenario):
                daemon = self.serve(scenario)
                daemon.wait_for_log(r"worker_ready|worker_exited")
                self.assert_query_error(daemon.get(), reason)

    def test_the_example_page_is_a_page(self):
        page = re.search(r"^```json\n(.*?)^```$", clients.API.read_text(), re.MULTILINE | re.DOTALL).group(1)
        self.assertTrue(expected.PAGE.fullmatch(re.sub(r"\n *", "", page).encode()), page)


if __name__ == "__main__":
    harness.main()
