#!/usr/bin/env python3
"""Python with requests, from docs/api.md and as users have written it all along."""

import shutil
import subprocess
import sys

import clients
import harness


def python_with_requests():
    """The distribution's interpreter has the distribution's package; another one in PATH may not."""
    for python in (sys.executable, "/usr/bin/python3"):
        if shutil.which(python) and subprocess.run([python, "-c", "import requests"], capture_output=True,
                                                   check=False).returncode == 0:
            return python
    return None


PYTHON = python_with_requests()


class Python(clients.ClientTest):
    def python(self, text, daemon, is_enough):
        return self.run_until([PYTHON, "-u", self.write("stats.py", self.addressed(text, daemon))], is_enough)

    def documented(self):
        (example,) = clients.documented("python")
        return example

    def test_the_documented_example_polls(self):
        output = self.python(self.documented(), self.serve_ready(), lambda text: text.count("GPU 7:") >= 2)
        self.assert_lines_for_every_gpu(
            output, lambda row: f"GPU {row['index']}: {row['power_draw_w']} of {row['power_limit_w']} W\n")

    def test_the_documented_example_names_a_lost_gpu(self):
        output = self.python(self.documented(), self.serve_ready("one-gpu-lost"), lambda text: "failed" in text)
        self.assertIn("GPU 2 failed: GPU is lost\n", output)
        self.assertNotIn("GPU 2:", output)

    def test_the_documented_example_says_an_error_and_goes_on(self):
        output = self.python(self.documented(), self.serve("no-gpus"), lambda text: text.count("\n") >= 2)
        self.assertEqual(set(output.splitlines()), {"no figures: Failed to query GPU: no GPUs found"})

    def test_the_users_example_polls(self):
        example = (clients.USER_EXAMPLES / "stats.py").read_text()
        output = self.python(example, self.serve_ready(), lambda text: text.count("GPU 7:") >= 2)
        self.assert_lines_for_every_gpu(
            output, lambda row: f"GPU {row['index']}: {row['utilization_percent']}% @ {row['temperature_c']}°C\n")
        self.assertRegex(output, r"Cache: (HIT|MISS)\n")


if __name__ == "__main__":
    if PYTHON is None:
        print("NOT RUN: python3-requests is not installed")
        sys.exit(harness.NOT_RUN)
    harness.main()
