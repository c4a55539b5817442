"""Instructions of one cached request, counted by callgrind: exact, whatever else the machine does.

The whole server answers N1 and then, started anew, N2 requests; the difference divided by N2 - N1 is what one costs
in user space. One connection asks, and only while every thread of the server sleeps, so that each request takes the
same way through the event loop.
"""

import json
import pathlib
import re
import socket
import time

import machine
import rounds
import servers

RECORD = pathlib.Path(__file__).resolve().parent / "instructions.json"
TOLERANCE_PERCENT = 1.0
FEW, MANY = 200, 2200
UPDATE = "./dev bench --record-instructions"


def asleep(pid):
    for task in (machine.PROC / str(pid) / "task").iterdir():
        stat = (task / "stat").read_text()
        if stat[stat.rindex(")") + 2] != "S":
            return False
    return True


def wait_asleep(pid):
    deadline = time.monotonic() + servers.PATIENCE_S
    while not asleep(pid):
        if time.monotonic() > deadline:
            raise RuntimeError("the server does not come to rest")


def ask(server, count):
    with socket.create_connection(("127.0.0.1", server.port), timeout=servers.PATIENCE_S) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        expected = 0
        for number in range(count):
            wait_asleep(server.process.pid)
            client.sendall(servers.REQUEST)
            received = client.recv(65536)
            while number == 0 and len(received.partition(b"\r\n\r\n")[2]) < length_of(received):
                received += client.recv(65536)
            expected = expected or len(received)
            while len(received) < expected:
                received += client.recv(65536)
            good = received.startswith(b"HTTP/1.1 200 ") and b"X-Cache: HIT" in received
            if not good or len(received) != expected:
                raise RuntimeError(f"not the cached page: {received[:300]!r}")


def length_of(answer):
    found = re.search(rb"Content-Length: (\d+)\r\n", answer)
    return int(found.group(1)) if found else 1


def count_for(bench, requests):
    output = bench.work / "callgrind"
    for old in bench.work.glob("callgrind.*"):
        old.unlink()
    prefix = (machine.need("valgrind"), "--tool=callgrind", f"--callgrind-out-file={output}.%p")
    with servers.Gputach(bench, *servers.CACHED, frozen=True, prefix=prefix, processor=None) as server:
        server.ready()
        ask(server, requests)
        pid = server.process.pid
    # The spawner, forked under valgrind, writes a file of its own.
    text = pathlib.Path(f"{output}.{pid}").read_text()
    return int(re.search(r"^summary: (\d+)", text, re.M).group(1))


def per_request(bench):
    few, many = count_for(bench, FEW), count_for(bench, MANY)
    return (many - few) / (MANY - FEW)


def compiler_of(bench):
    """What decides about the number apart from our own text: the compiler, its flags and the architecture."""
    cache = (bench.build / "CMakeCache.txt").read_text()
    value = lambda name: machine.first_match(rf"(?m)^{name}:\w+=(.*)$", cache)  # noqa: E731
    version = machine.output_of(value("CMAKE_CXX_COMPILER"), "-dumpfullversion")
    build_type = value("CMAKE_BUILD_TYPE")
    flags = value(f"CMAKE_CXX_FLAGS_{build_type.upper()}")
    asio = machine.first_match(r'#define BOOST_LIB_VERSION "(\S+)"', _text_of("/usr/include/boost/version.hpp"))
    return f"g++ {version} {flags}, {machine.platform.machine()}, Boost {asio}"


def _text_of(path):
    try:
        return pathlib.Path(path).read_text()
    except OSError:
        return ""


def record(bench):
    found = {"compiler": compiler_of(bench), "instructions_per_request": round(per_request(bench), 1)}
    RECORD.write_text(json.dumps(found, indent=2) + "\n")
    return found


def change_percent(bench):
    """(change against the record in per cent, instructions now, instructions then); NotRun where nothing compares."""
    if not RECORD.exists():
        raise machine.NotRun(f"no instruction count is recorded; {UPDATE}")
    then = json.loads(RECORD.read_text())
    if (here := compiler_of(bench)) != then["compiler"]:
        raise machine.NotRun(f"the instruction count was recorded with {then['compiler']}, this is {here}")
    now = per_request(bench)
    return 100 * (now / then["instructions_per_request"] - 1), now, then["instructions_per_request"]


def cell(bench):
    change, now, then = change_percent(bench)
    return rounds.Outcome(
        {"instructions_percent": rounds.figure([change])},
        {"gputach": {"instructions": rounds.figure([now]), "recorded": rounds.figure([then])}},
        [f"user space only, by callgrind, with {compiler_of(bench)}"],
    )
