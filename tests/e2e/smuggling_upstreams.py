"""Servers of other makers that write down the requests they see: upstreams for proxy_smuggling_test.py."""

import dataclasses
import os
import re
import shutil
import signal
import subprocess
import threading

import harness

FOLDER = harness.ROOT / "tests" / "e2e" / "upstreams"
CACHE = harness.ROOT / "build" / "upstreams"  # ./dev upstreams fills it
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
NODE = shutil.which("node")

NGINX_CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr notice;
events {{ worker_connections 64; }}
http {{
  log_format seen '$connection $request_method $request_uri';
  access_log {folder}/seen seen;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  large_client_header_buffers 4 32k;
  keepalive_requests 100000;
  server {{
    listen unix:{folder}/socket;
    default_type text/plain;
    location / {{ return 200 "$request_method $request_uri"; }}
  }}
}}
"""


@dataclasses.dataclass(frozen=True)
class Seen:
    connection: str
    method: str  # MALFORMED where it was no request
    target: str


class Upstream:
    """A process, and its lines."""

    def __init__(self, folder, command, listening, **environment):
        self.seen_file = folder / "seen"
        self.seen_file.touch()
        self.process = subprocess.Popen(command, env=os.environ | environment, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        self.lines = []
        self._grew = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        with self._grew:
            self._grew.wait_for(lambda: self.said(listening) or self.process.poll() is not None, harness.PATIENCE_S)
        if not self.said(listening):
            raise AssertionError(f"the upstream did not start: {self.lines}")

    def _read(self):
        for line in self.process.stdout:
            with self._grew:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self._grew.notify_all()

    def said(self, pattern):
        return next((match for line in self.lines if (match := re.search(pattern, line))), None)

    def seen(self):
        text = self.seen_file.read_text(encoding="latin-1")
        return [Seen(*line.split(" ", 2)) for line in text.split("\n")[:-1]]

    def stop(self):
        if self.process.poll() is not None:
            return
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(harness.PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._reader.join(harness.PATIENCE_S)
        self.process.stdout.close()


class Nginx(Upstream):
    missing = "" if NGINX else "nginx is not installed"

    def __init__(self, folder):
        configuration = folder / "nginx.conf"
        configuration.write_text(NGINX_CONFIGURATION.format(folder=folder))
        super().__init__(folder, [NGINX, "-p", str(folder), "-c", str(configuration)], "using the .* event")
        harness.wait_until("nginx listens", (folder / "socket").exists)
        self.address = f"unix:{folder}/socket"

    def seen(self):
        return [dataclasses.replace(one, method="MALFORMED") if one.method == "-" else one for one in super().seen()]


class Uvicorn(Upstream):
    missing = "" if (CACHE / "installed.txt").exists() else "./dev upstreams has not fetched uvicorn"

    def __init__(self, folder, protocol):
        command = [str(CACHE / "venv" / "bin" / "python"), "-m", "uvicorn", "asgi_app:app", "--app-dir", str(FOLDER),
                   "--http", protocol, "--host", "127.0.0.1", "--port", "0", "--lifespan", "off", "--no-access-log",
                   "--timeout-keep-alive", "60"]
        super().__init__(folder, command, r"running on http://127", SEEN=str(folder / "seen"),
                         PYTHONDONTWRITEBYTECODE="1")
        self.address = "http://127.0.0.1:" + self.said(r"running on http://127\.0\.0\.1:(\d+)").group(1)

    def seen(self):
        invalid = [Seen("?", "MALFORMED", line) for line in self.lines if "Invalid HTTP" in line]
        return super().seen() + invalid


class Node(Upstream):
    missing = "" if NODE else "node is not installed"

    def __init__(self, folder, *flags):
        super().__init__(folder, [NODE, *flags, str(FOLDER / "server.mjs"), str(folder / "seen")], "listening ")
        self.address = "http://127.0.0.1:" + self.said(r"listening (\d+)").group(1)
