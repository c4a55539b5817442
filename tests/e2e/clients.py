"""Runs other people's programs: the examples of docs/api.md and those that users have had all along, word for word.
Only host and port are replaced. Programs that poll for ever are ended once they have polled twice.
"""

import os
import re
import shutil
import subprocess
import sys
import threading
import time

import expected
import harness

USER_EXAMPLES = harness.ROOT / "tests" / "e2e" / "user_examples"
API = harness.ROOT / "docs" / "api.md"
ADDRESS = re.compile(r"http://(?:localhost|vllm-chill):8080")


def documented(language):
    """The fenced blocks of docs/api.md in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", API.read_text(), re.MULTILINE | re.DOTALL)


def need(*tools):
    """Ends the whole test as NOT RUN when a tool is missing."""
    for tool in tools:
        if shutil.which(tool) is None:
            print(f"NOT RUN: {tool} is not installed")
            sys.exit(harness.NOT_RUN)


class ClientTest(harness.TestCase):
    ROWS = expected.rows("h100x8-busy")

    def addressed(self, text, daemon):
        replaced, count = ADDRESS.subn(daemon.url, text)
        self.assertGreater(count, 0, "the example names no address to replace")
        return replaced

    def write(self, name, text):
        path = self.folder() / name
        path.write_text(text)
        return path

    def run_to_end(self, command):
        run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                             timeout=harness.PATIENCE_S, check=False)
        self.assertEqual(run.returncode, 0, run.stderr)
        return run.stdout

    def run_until(self, command, is_enough, environment=None, cwd=None):
        """Output of a program that polls for ever, when there is enough of it; then the program is ended."""
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True, env=os.environ | (environment or {}), cwd=cwd)
        lines = []
        reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")), daemon=True)
        reader.start()
        try:
            deadline = time.monotonic() + harness.PATIENCE_S
            while not is_enough("".join(lines)):
                self.assertIsNone(process.poll(), "it ended by itself:\n" + "".join(lines))
                self.assertLess(time.monotonic(), deadline, "not enough output:\n" + "".join(lines))
                reader.join(0.02)
        finally:
            process.kill()
            process.wait(harness.PATIENCE_S)
            reader.join(harness.PATIENCE_S)
            process.stdout.close()
        return "".join(lines)

    def assert_lines_for_every_gpu(self, output, line_of):
        for row in self.ROWS:
            self.assertIn(line_of(row), output)
