#!/usr/bin/env python3
"""Go with its standard library, from docs/api.md and as users have written it all along. Built without a network."""

import os
import subprocess

import clients
import harness

OFFLINE = {"GOPROXY": "off", "GOFLAGS": "-mod=mod", "GO111MODULE": "on", "GOTOOLCHAIN": "local"}


class Go(clients.ClientTest):
    def go(self, text, daemon, is_enough):
        source = self.write("main.go", self.addressed(text, daemon))
        program = source.with_name("stats")
        built = subprocess.run(["go", "build", "-o", program, source], env=os.environ | OFFLINE, cwd=source.parent,
                               stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240, check=False)
        self.assertEqual(built.returncode, 0, built.stderr)
        return self.run_until([program], is_enough)

    def documented(self):
        (example,) = clients.documented("go")
        return example

    def test_the_documented_example_polls_through_a_lost_gpu(self):
        output = self.go(self.documented(), self.serve_ready("one-gpu-lost"), lambda text: text.count("GPU 7:") >= 2)
        for row in self.ROWS[:2] + self.ROWS[3:]:
            self.assertIn(f"GPU {row['index']}: {row['memory_used_mb']} of {row['memory_total_mb']} MiB, "
                          f"{row['utilization_percent']:.1f}% busy\n", output)
        self.assertIn("GPU 2 failed: GPU is lost\n", output)
        self.assertNotIn("GPU 2:", output)

    def test_the_documented_example_says_an_error_and_goes_on(self):
        output = self.go(self.documented(), self.serve("no-gpus"), lambda text: text.count("\n") >= 2)
        self.assertEqual(set(output.splitlines()),
                         {"no figures: 500 Internal Server Error: Failed to query GPU: no GPUs found"})

    def test_the_users_example_polls(self):
        example = (clients.USER_EXAMPLES / "stats.go").read_text()
        output = self.go(example, self.serve_ready(), lambda text: text.count("GPU 7:") >= 2)
        self.assert_lines_for_every_gpu(
            output, lambda row: f"GPU {row['index']}: {row['utilization_percent']:.1f}% @ {row['temperature_c']}°C\n")
        self.assertRegex(output, r"Cache: (HIT|MISS)\n")


if __name__ == "__main__":
    clients.need("go")
    harness.main()
