#!/usr/bin/env python3
"""JavaScript in Node, from docs/api.md and as users have written it all along."""

import clients
import harness


class JavaScript(clients.ClientTest):
    def node(self, text, daemon, is_enough):
        return self.run_until(["node", self.write("stats.js", self.addressed(text, daemon))], is_enough)

    def documented(self):
        (example,) = clients.documented("javascript")
        return example

    def test_the_documented_example_polls(self):
        output = self.node(self.documented(), self.serve_ready(), lambda text: text.count("GPU 7:") >= 2)
        self.assert_lines_for_every_gpu(output, lambda row: (
            f"GPU {row['index']}: {row['utilization_percent']:g}% at {row['temperature_c']}°C, no fan\n"))

    def test_the_documented_example_names_a_lost_gpu(self):
        output = self.node(self.documented(), self.serve_ready("one-gpu-lost"), lambda text: "failed" in text)
        self.assertIn("GPU 2 failed: GPU is lost\n", output)
        self.assertNotIn("GPU 2:", output)

    def test_the_documented_example_says_an_error_and_goes_on(self):
        output = self.node(self.documented(), self.serve("no-gpus"), lambda text: text.count("\n") >= 2)
        self.assertEqual(set(output.splitlines()), {"Failed to query GPU: no GPUs found"})

    def test_the_users_example_polls(self):
        example = (clients.USER_EXAMPLES / "stats.js").read_text()
        output = self.node(example, self.serve_ready(), lambda text: text.count("Cache:") >= 2)
        self.assertIn("GPU Stats: {", output)
        self.assertRegex(output, r"Cache: (HIT|MISS)\n")
        self.assertIn("NVIDIA H100 80GB HBM3", output)


if __name__ == "__main__":
    clients.need("node")
    harness.main()
