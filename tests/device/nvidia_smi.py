"""nvidia-smi as a source of rows. Python 3.8 and newer."""

import csv
import io
import re
import subprocess

SECONDS_MAX = 60
FORMAT = "--format=csv,noheader,nounits"


class NvidiaSmi:
    def __init__(self, command):
        self.command = command  # a list

    def _run(self, *arguments):
        done = subprocess.run([*self.command, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, universal_newlines=True, timeout=SECONDS_MAX)  # fmt: skip
        return done.returncode, done.stdout

    def gpus(self):
        """Lines of `-L`, GPUs and below them MIG devices; none where there is no driver or no program."""
        try:
            status, text = self._run("-L")
        except OSError:
            return []
        return [line for line in text.splitlines() if re.match(r"\s*(GPU|MIG) ", line)] if status == 0 else []

    def knows(self, queries):
        return self._run("--query-gpu=" + ",".join(queries), FORMAT)[0] == 0

    def driver_version(self):
        return self._run("--query-gpu=driver_version", FORMAT)[1].strip().split("\n")[0]

    def rows(self, queries):
        """{UUID: {query: text}}. A GPU for which nvidia-smi prints no row is left out, whatever its exit status."""
        _, text = self._run("--query-gpu=" + ",".join(queries), FORMAT)
        rows = {}
        for cells in csv.reader(io.StringIO(text), skipinitialspace=True):
            if len(cells) == len(queries):
                row = {query: cell.strip() for query, cell in zip(queries, cells)}
                rows[row["uuid"]] = row
        return rows
