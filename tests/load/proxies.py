"""Proxies in front of one engine: gputach, nginx and HAProxy, all on the server's processor; load_engine shares the
generator's. Each opponent is set up as it would be before an engine: connections are kept to both sides, nothing is
buffered, and it says who asked.
"""

import contextlib
import http.client

import machine
import servers

STREAMS_MAX = 4096


class Engine(servers.Server):
    def __init__(self, bench):
        super().__init__("engine", [bench.program("engine")], bench.log_file("engine"),
                         processor=servers.GENERATOR_PROCESSOR)

    def ready(self):
        self.port = int(servers.wait_for("the engine listens", lambda: self.log_match(r"port (\d+)")).group(1))
        return self


def gputach(bench, engine, **more):
    return servers.Gputach(bench, "--upstream", f"http://127.0.0.1:{engine.port}",
                           "--upstream-connections-max", str(STREAMS_MAX), **more)


class Opponent(servers.Server):
    """Of a program with a configuration that `text(folder)` gives."""

    def __init__(self, bench, name, command, text):
        folder = bench.work / f"{name}-proxy"
        folder.mkdir(exist_ok=True)
        self.port = servers.free_port()
        configuration = folder / f"{name}.conf"
        configuration.write_text(text(folder, self.port))
        port = self.port
        super().__init__(name, command(folder, configuration), bench.log_file(name))
        self.port = port

    def ready(self):
        def answers():
            with contextlib.suppress(OSError):
                return ask(self.port)
            self.log_match("")
            return None

        servers.wait_for(f"{self.name} forwards", answers)
        return self


def nginx(bench, engine):
    def text(folder, port):
        return f"""
worker_processes 1;
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  server_tokens off;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream engine {{
    server 127.0.0.1:{engine.port};
    keepalive {STREAMS_MAX};
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://engine;
      proxy_http_version 1.1;
      proxy_buffering off;
      proxy_read_timeout 1h;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
    }}
  }}
}}
"""

    return Opponent(bench, "nginx", lambda folder, path: [machine.need("nginx"), "-p", str(folder), "-c", str(path)],
                    text)


def haproxy(bench, engine):
    def text(_, port):
        return f"""
global
  nbthread 1
  maxconn {2 * STREAMS_MAX}
defaults
  mode http
  timeout connect 2s
  timeout client 1h
  timeout server 1h
  timeout http-keep-alive 1h
  option http-keep-alive
  option http-no-delay
  option forwardfor
  http-reuse always
listen engine
  bind 127.0.0.1:{port} backlog 4096
  http-request set-header X-Forwarded-Proto http
  server engine 127.0.0.1:{engine.port} pool-max-conn {STREAMS_MAX}
"""

    return Opponent(bench, "haproxy", lambda _, path: [machine.need("haproxy"), "-db", "-f", str(path)], text)


def ask(port):
    """The body of one small answer through whatever listens there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=servers.PATIENCE_S)
    with contextlib.closing(connection):
        connection.request("POST", "/v1/chat/completions", b"{}", {"Content-Type": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise OSError(f"{answer.status}: {body[:200]!r}")
        return body


@contextlib.contextmanager
def opponents(bench):
    """The engine, and in front of it the three proxies: all have forwarded, and all pass the same bytes."""
    servers.allow_descriptors(bench, 3 * STREAMS_MAX)
    with contextlib.ExitStack() as stack:
        engine = stack.enter_context(Engine(bench)).ready()
        proxies = {"gputach": gputach(bench, engine), "nginx": nginx(bench, engine), "haproxy": haproxy(bench, engine)}
        for proxy in proxies.values():
            stack.enter_context(proxy)
        for name, proxy in proxies.items():
            if ask(proxy.ready().port) != ask(engine.port):
                raise RuntimeError(f"{name} does not pass the engine's bytes")
        yield engine, proxies
