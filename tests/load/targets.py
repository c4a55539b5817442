"""The table of ./dev bench: what is measured and what it has to reach. One row is one line of the results."""

import cells_cached
import cells_footprint
import cells_reading
import instructions
from target import Target

# Name of a cell -> how it is measured. The order is that of the results.
CELLS = {
    "cached-1": lambda bench: cells_cached.cached(bench, 1),
    "cached-64": lambda bench: cells_cached.cached(bench, 64),
    "cached-512": lambda bench: cells_cached.cached(bench, 512),
    "pipelined": cells_cached.pipelined,
    "pollers": cells_cached.pollers,
    "miss": cells_reading.miss,
    "encode": cells_reading.encode,
    "idle": cells_footprint.idle,
    "memory": cells_footprint.memory,
    "idle-connections": cells_footprint.idle_connections,
    "start": cells_footprint.start,
    "size": cells_footprint.size,
    "gpus": cells_reading.miss_by_gpus,
    "idle-flat": cells_cached.idle_connections_flat,
    "instructions": instructions.cell,
}

_CPU = "cached `GET /proxy/stats`, 8 GPUs, {} connection{}: CPU per request ÷ {}"

TARGETS = [
    *(Target(f"cached_{count}_{other}", _CPU.format(count, "" if count == 1 else "s", words), "", gate, aim)
      for other, words, gate, aim in (("nginx", "nginx `return` of the same bytes", 1.05, 0.95),
                                      ("epoll", "raw epoll", 1.30, 1.10))
      for count in (1, 64, 512)),
    Target("pipelined_nginx", "pipelined ×16: requests/s ÷ nginx", "", 1.10, 1.30, at_least=True),
    Target("pollers_p50", "1000 pollers × 10 Hz, open loop: p50 ÷ raw epoll", "", 1.15, 1.05),
    Target("pollers_p90", "1000 pollers × 10 Hz, open loop: p90 ÷ raw epoll", "", 1.15, 1.05),
    Target("pollers_p99_ms", "1000 pollers × 10 Hz, open loop: p99", "ms", 1, 0.6),
    Target("miss_p50_us", "a miss of 8 GPUs, beyond the NVML calls: p50 latency", "µs", 250, 150, digits=0),
    Target("miss_cpu_us", "a miss of 8 GPUs, beyond the NVML calls: CPU of all processes", "µs", 150, 80, digits=0),
    Target("encode_us", "encoding the contract for 8 GPUs", "µs", 3, 1.2),
    Target("idle_switches", "nobody asks: voluntary context switches of the busiest process", "/s", 2, 0),
    Target("idle_calls", "nobody asks: NVML calls", "", 0, 0, digits=0),
    Target("rss_mib", "RSS of all processes, 8 GPUs, after 10^6 requests", "MiB", 20, 12, digits=1),
    Target("idle_connection_kib", "private memory for each idle connection", "KiB", 8, 4),
    Target("start_ms", "start to first answer over the simulator", "ms", 100, 40, digits=1),
    Target("size_mib", "stripped binary, with the system's OpenSSL, zlib and C++ library", "MiB", 6, 3),
    Target("bundle_mib", "stripped binary with these inside, for other machines", "MiB", 6, 3,
           missed_because="OpenSSL's libcrypto alone is 4 MiB of it"),
    Target("gpus_miss", "1 to 64 GPUs, a miss: cost of one more GPU, from 32 to 64 ÷ from 1 to 32", "", 1.25, 1.10),
    Target("gpus_encode", "1 to 64 GPUs, encoding: cost of one more GPU, from 32 to 64 ÷ from 1 to 32", "", 1.25, 1.10),
    Target("idle_connections_flat", "p50 of 100 pollers with 10 to 10,000 idle connections: largest change", "%", 10,
           None, digits=1),
    Target("instructions_percent", "instructions of a cached request against the recorded number", "%",
           instructions.TOLERANCE_PERCENT, None),
]
