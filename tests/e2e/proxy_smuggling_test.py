#!/usr/bin/env python3
"""No upstream ever sees a request that its client did not send as one, and nobody gets another's answer."""

import collections
import contextlib
import os
import pathlib
import socket
import unittest

import harness
import proxy_rig
import raw_answers  # beside the engine: proxy_rig knows the way
from deaf_upstream import DeafUpstream
from smuggling_cases import PAIRS, SMUGGLED
from smuggling_upstreams import CACHE, Nginx, Node, Uvicorn

SILENCE_S = 0.15 * harness.SCALE  # a client that gets nothing for so long has got all that comes
CI = os.environ.get("CI")
OWN = {"/v1/models"}  # what the proxy asks by itself
SECOND, HONEST = "/second", "/honest"
UNKNOWN_METHODS = (b"BREW", b"get")  # RFC 9110 allows them, and some servers refuse them


def must_have(upstream):
    """Skips where the server is missing; where everything is checked, that is a failure unless ./dev has said why."""
    if not upstream.missing:
        return
    excused = upstream is Uvicorn and (CACHE / "not-run.txt").exists()
    if CI and not excused:
        raise AssertionError(f"where everything is checked it is installed: {upstream.missing}")
    print(f"NOT RUN: {upstream.missing}")
    raise unittest.SkipTest(f"NOT RUN: {upstream.missing}")


def converse(daemon, sent, pieces=0):
    """What comes back for `sent`, until the end or until nothing more comes."""
    with contextlib.closing(daemon.connect()) as client:
        client.settimeout(SILENCE_S)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = b""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, socket.timeout):
            for at in range(0, len(sent), pieces or len(sent)):
                client.sendall(sent[at : at + (pieces or len(sent))])
        with contextlib.suppress(ConnectionResetError, socket.timeout):
            while more := client.recv(65536):
                data += more
        return data


def asks(target, fields="Connection: close\r\n"):
    return f"GET {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode()


class Requests(proxy_rig.TestCase):
    """Each pair is sent with a second request behind it; then an honest client asks, over what connection is left."""

    def hold(self, upstream, pieces=0):
        self.addCleanup(upstream.stop)
        daemon = self.serve("h100x8-busy", "--upstream", upstream.address)
        for number, pair in enumerate(PAIRS):
            with self.subTest(pair.name):
                got = converse(daemon, pair.sent + asks(f"{SECOND}-{number}"), pieces)
                self.assertNotIn(f" {SMUGGLED}".encode(), got)
                answer = daemon.get(f"{HONEST}-{number}")
                self.assertEqual((answer.status, answer.body), (200, f"GET {HONEST}-{number}".encode()))
        # A log may be late, but is in order for each connection.
        last = f"{HONEST}-{len(PAIRS) - 1}"
        harness.wait_until("all is logged", lambda: any(one.target == last for one in upstream.seen()))
        daemon.terminate()
        upstream.stop()
        self.judge(upstream.seen())

    def judge(self, seen):
        """Everything that the upstream saw, against everything that was sent."""
        expected = set.union(OWN, *(pair.targets for pair in PAIRS))
        numbered = {f"{kind}-{number}" for kind in (SECOND, HONEST) for number in range(len(PAIRS))}
        unasked = [one for one in seen if one.target not in expected | numbered and one.method != "MALFORMED"]
        self.assertEqual(unasked, [], "requests that nobody sent")
        counts = collections.Counter(one.target for one in seen)
        self.assertEqual([target for target in numbered if counts[target] > 1], [], "requests that came twice")
        self.assertEqual([n for n in range(len(PAIRS)) if counts[f"{HONEST}-{n}"] != 1], [])
        used, reused = set(), 0
        for one in seen:
            honest = one.target.startswith(HONEST)
            reused += honest and one.connection in used
            if not honest:
                used.add(one.connection)
        self.assertGreater(reused, len(PAIRS) // 8, "the honest clients used connections of the others")
        refused = [one for one in seen if one.method == "MALFORMED"]
        self.assertLessEqual(len(refused), sum(pair.sent.startswith(UNKNOWN_METHODS) for pair in PAIRS), refused)

    def test_nginx_is_not_deceived(self):
        must_have(Nginx)
        self.hold(Nginx(self.folder()))

    def test_uvicorn_with_h11_is_not_deceived(self):
        must_have(Uvicorn)
        self.hold(Uvicorn(self.folder(), "h11"))

    def test_uvicorn_with_httptools_is_not_deceived(self):
        must_have(Uvicorn)
        self.hold(Uvicorn(self.folder(), "httptools"))

    def test_node_is_not_deceived(self):
        must_have(Node)
        self.hold(Node(self.folder()))

    def test_node_that_reads_leniently_is_not_deceived(self):
        must_have(Node)
        self.hold(Node(self.folder(), "--insecure-http-parser"))

    def test_node_is_not_deceived_when_the_bytes_come_in_pieces(self):
        must_have(Node)
        self.hold(Node(self.folder()), pieces=7)


class Answers(proxy_rig.TestCase):
    """An answer that could be read as two, and then a second client over whatever connection is left."""

    def test_the_second_client_gets_its_own_answer(self):
        engine, daemon = self.serve_engine("--upstream-connections-max", "1")
        for name in raw_answers.ANSWERS:
            for method in ("GET", "HEAD", "POST"):
                with self.subTest(name, method=method):
                    engine.arm(f"raw name={name} how=keep", times=1)
                    body = "" if method == "GET" else "Content-Length: 0\r\n"
                    converse(daemon, f"{method} /echo?first HTTP/1.1\r\nHost: x\r\n{body}\r\n".encode())
                    engine.disarm()
                    answer = daemon.get("/echo?honest")
                    self.assertEqual((answer.status, answer.json()["target"]), (200, "/echo?honest"))

    def test_the_one_that_waits_for_the_connection_gets_its_own_answer(self):
        engine, daemon = self.serve_engine("--upstream-connections-max", "1")
        for name in raw_answers.READABLE:
            with self.subTest(name):
                engine.clear()
                engine.arm(f"raw name={name} how=keep", times=1)
                first = self.send(daemon, b"POST /echo?first HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
                engine.wait("it is there", lambda state: state["requests"]["active"] == 1)
                second = self.send(daemon, asks("/echo?honest"))
                harness.wait_until("the second waits", lambda: self.traffic(daemon)["queued_requests"] == 1)
                first.sendall(b"x")
                first.settimeout(SILENCE_S)
                with contextlib.suppress(ConnectionResetError, socket.timeout):
                    while first.recv(65536):
                        pass
                first.close()
                self.assertEqual(harness.read_response(second, 0).json()["target"], "/echo?honest")


class EarlyAnswers(proxy_rig.TestCase):
    """An upstream that answers, or ends, while the last of a body still waits for room: that is nobody's request, and
    takes no other request in."""

    # Round what the socket between us and the upstream takes, in steps smaller than what is held of one body: some size
    # ends with its last piece waiting.
    STEP = 1024
    ROOM = int(pathlib.Path("/proc/sys/net/core/wmem_default").read_text())
    SIZES = range(ROOM // STEP * STEP - 12 * STEP, ROOM // STEP * STEP + 40 * STEP, STEP)

    def hold(self, reaction, framing):
        upstream = DeafUpstream(self.folder(), reaction)
        self.addCleanup(upstream.close)
        daemon = self.serve("h100x8-busy", "--upstream", upstream.address)
        for size in self.SIZES:
            with self.subTest(size=size):
                client = self.send(daemon, self.with_body(framing, size))
                answer = harness.read_response(client, 0)
                self.assertIn(answer.status, {401, 502})
                honest = daemon.get(f"/honest-{size}")
                self.assertEqual((honest.status, honest.body), (200, f"/honest-{size}".encode()))
                client.close()
        allowed = {"/first", *OWN, *(f"/honest-{size}" for size in self.SIZES)}
        self.assertEqual([target for target in upstream.seen if target not in allowed], [])
        return upstream

    @staticmethod
    def with_body(framing, size):
        """A body that is nothing but hidden requests, all of which begin at a multiple of 64, as do reads of it."""
        def padded(head):
            return head[:-2] + b"X: " + b"x" * (-(len(head) + 5) % 64) + b"\r\n\r\n"

        body = (padded(asks(SMUGGLED, "")) * (size // 64 + 1))[:size]
        field = f"Content-Length: {size}" if framing == "length" else "Transfer-Encoding: chunked"
        if framing == "chunks":
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (size, body)
        return padded(f"POST /first HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n".encode()) + body

    def test_an_early_answer_to_a_body_with_a_length(self):
        self.assertTrue(self.hold("answer", "length").sizes, "none of them came whole")

    def test_an_early_answer_to_a_body_in_chunks(self):
        self.assertTrue(self.hold("answer", "chunks").sizes, "none of them came whole")

    def test_an_early_end_under_a_body_with_a_length(self):
        self.hold("close", "length")

    def test_an_early_end_under_a_body_in_chunks(self):
        self.hold("close", "chunks")


if __name__ == "__main__":
    harness.main()
