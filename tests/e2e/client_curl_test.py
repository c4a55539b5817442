#!/usr/bin/env python3
"""curl and jq, from docs/api.md and as users have typed them all along."""

import json
import re

import clients
import expected
import harness


class Curl(clients.ClientTest):
    def shell(self, text, daemon):
        return self.run_to_end(["bash", "-euo", "pipefail", "-c", self.addressed(text, daemon)])

    def test_the_documented_commands(self):
        gpus, errors, headers = clients.documented("bash")
        daemon = self.serve_ready()
        # Whether 76.0 is shown as 76 depends on the version of jq.
        shown = re.findall(r"^GPU (\S+): (\S+)% busy, (\S+)% memory, (\S+) W$", self.shell(gpus, daemon), re.MULTILINE)
        keys = ("index", "utilization_percent", "memory_util_percent", "power_draw_w")
        wanted = [tuple(row[key] for key in keys) for row in self.ROWS]
        self.assertEqual([tuple(map(float, line)) for line in shown], wanted)
        self.assertEqual(self.shell(errors, daemon), "")
        self.assertEqual(sorted(self.shell(headers, daemon).splitlines()),
                         ["Gputach-Unsupported: fan_speed_percent=(0 1 2 3 4 5 6 7)", "X-Cache: HIT"])

    def test_the_documented_command_for_errors_names_the_lost_gpu(self):
        errors = clients.documented("bash")[1]
        self.assertEqual(self.shell(errors, self.serve_ready("one-gpu-lost")), "GPU 2: GPU is lost\n")

    def test_the_users_commands(self):
        daemon = self.serve_ready()
        basic, pretty, cache = re.findall(r"^curl .*$", (clients.USER_EXAMPLES / "stats.sh").read_text(), re.MULTILINE)
        self.assertTrue(expected.PAGE.fullmatch(self.shell(basic, daemon).encode()))
        shown = self.shell(pretty, daemon)
        self.assertGreater(shown.count("\n"), 100)
        self.assertEqual(json.loads(shown)["gpus"], self.ROWS)
        self.assertEqual(len(re.findall(r"^< X-Cache: (?:HIT|MISS)\s*$", self.shell(cache, daemon), re.MULTILINE)), 1)

    def test_the_users_commands_as_one_script(self):
        script = (clients.USER_EXAMPLES / "stats.sh").read_text()
        self.assertIn("< X-Cache: HIT", self.shell(script, self.serve_ready()))


if __name__ == "__main__":
    clients.need("bash", "curl", "jq")
    harness.main()
