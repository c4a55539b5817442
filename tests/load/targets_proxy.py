"""The table of ./dev bench proxy."""

import cells_proxy
from target import Target

# Name of a cell -> how it is measured. The order is that of the results.
CELLS = {
    "posts": cells_proxy.posts,
    "paced": cells_proxy.paced,
    "fast": cells_proxy.fast,
    "latency": cells_proxy.latency,
    "streams": cells_proxy.many_streams,
    "hung-driver": cells_proxy.hung_driver,
}

_POST = "a POST of 500 bytes answered with 500, 64 connections: CPU ÷ {}"
_CHUNK = "a streamed chunk of 200 bytes that comes alone, 100 streams × 200/s: CPU ÷ {}"
_FAST = "a streamed chunk as fast as it is read, 16 streams: CPU ÷ {}"
_FAST_REASON = (
    "chunks that arrive together are one read and one write for all; what is left is that gputach looks at every byte "
    "for tokens and usage and puts the chunks of one read together, where nginx and HAProxy move them unseen"
)

TARGETS = [
    Target("post_cpu_nginx", _POST.format("nginx"), "", 1.15, 0.9),
    Target("post_cpu_haproxy", _POST.format("HAProxy"), "", 1.15, 0.9),
    Target("chunk_cpu_nginx", _CHUNK.format("nginx"), "", 1.15, 0.9),
    Target("chunk_cpu_haproxy", _CHUNK.format("HAProxy"), "", 1.15, 0.9),
    Target("fast_chunk_cpu_nginx", _FAST.format("nginx"), "", 1.15, 0.9, missed_because=_FAST_REASON),
    Target("fast_chunk_cpu_haproxy", _FAST.format("HAProxy"), "", 1.15, 0.9, missed_because=_FAST_REASON),
    Target("added_p50", "a POST, 500/s: latency added to the median ÷ what nginx adds", "", 1.15, 1),
    Target("added_p99", "a POST, 500/s: latency added to p99 ÷ what nginx adds", "", 1.15, 1),
    Target("late_p99", "1000 streams × 50/s: p99 of a token's lateness ÷ nginx", "", 1.15, 1),
    Target("late_p99_ms", "1000 streams × 50/s: p99 of a token's lateness", "ms", 5, 2),
    Target("streams_apart", "1000 streams × 50/s: median lateness of the latest stream ÷ nginx", "", 1.15, 1),
    Target("stream_kib", "private memory for each stream", "KiB", 32, 16, digits=1),
    Target("hung_alone_p99", "a token's way with a hung driver ÷ without: p99", "", 1.10, 1.02),
    Target("hung_p99", "a token's way with a hung driver and 200 pollers ÷ without: p99", "", 1.10, 1.02,
           missed_because="the pollers share the generator's processor; the row below has them in both"),
    Target("hung_p99_loop", "a token's way with a hung driver and 200 pollers ÷ the pollers at a raw loop: p99", "",
           1.10, 1.02),
    Target("hung_p50", "a token's way with a hung driver and 200 pollers ÷ without: median", "", 1.10, 1.02),
]
