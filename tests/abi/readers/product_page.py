"""The product's /proxy/stats, and what it must show given what an independent reader saw."""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request

MIB = 1 << 20
START_SECONDS_MAX = 20
ANSWER_SECONDS_MAX = 20
UNSETTLED = (500, {"error": "Failed to query GPU: worker stopped"})
SUFFIX = " (simulated)"
ADDRESS = re.compile(r"listening address=(\S+)")

# field, its sources in the order in which they are tried (function, part of its answer), units of theirs in one
FIELDS = [
    ("utilization_percent", [("nvmlDeviceGetUtilizationRates", "gpu")], 1),
    ("temperature_c", [("nvmlDeviceGetTemperatureV", ""), ("nvmlDeviceGetTemperature", "")], 1),
    ("power_draw_w", [("nvmlDeviceGetPowerUsage", "")], 1000),
    ("power_limit_w", [("nvmlDeviceGetPowerManagementLimit", ""), ("nvmlDeviceGetEnforcedPowerLimit", "")], 1000),
    ("fan_speed_percent", [("nvmlDeviceGetFanSpeed", "")], 1),
    ("encoder_util_percent", [("nvmlDeviceGetEncoderUtilization", "utilization")], 1),
    ("decoder_util_percent", [("nvmlDeviceGetDecoderUtilization", "utilization")], 1),
]
MEMORY = ("memory_used_mb", "memory_total_mb", "memory_util_percent")


def fetch(binary, library, environment):
    """(status, body) of one answer of a daemon that ends with this call."""
    command = [binary, "serve", "--listen", "127.0.0.1:0", "--nvml-library", library]
    daemon = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    watchdog = signal.signal(signal.SIGALRM, lambda *_: daemon.kill())
    signal.alarm(START_SECONDS_MAX + ANSWER_SECONDS_MAX)
    try:
        address = next((match.group(1) for line in daemon.stderr if (match := ADDRESS.search(line))), None)
        if address is None:
            return None, {"error": "the daemon never listened"}
        return _settled(f"http://{address}/proxy/stats?missing=list")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, watchdog)
        daemon.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            daemon.wait(timeout=START_SECONDS_MAX)
        if daemon.returncode is None:
            os.killpg(daemon.pid, signal.SIGKILL)
            daemon.wait()
        daemon.stderr.close()


def _settled(url):
    """The answer once the first worker has said its word. How soon that is, and what is answered until then, is left to
    the end-to-end tests.
    """
    deadline = time.monotonic() + ANSWER_SECONDS_MAX
    while (answer := _get(url)) == UNSETTLED and time.monotonic() < deadline:
        time.sleep(0.1)
    return answer


def _get(url):
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_SECONDS_MAX) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def is_refused(answer):
    return isinstance(answer, dict) and "return" in answer


def first_answer(answers, sources):
    for symbol, part in sources:
        if not is_refused(answers[symbol]):
            return answers[symbol][part] if part else answers[symbol]
    return None


def expected_memory(answers, codes):
    """(used, total) in bytes; None where there is none. MIG instances are added up where the board's are hidden."""
    for symbol in ("nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetMemoryInfo"):
        if not is_refused(answers[symbol]):
            return answers[symbol]["used"], answers[symbol]["total"]
    shown = [one["nvmlDeviceGetMemoryInfo_v2"] for one in answers["instances"] if not is_refused(one)]
    if shown:
        return sum(one["used"] for one in shown), sum(one["total"] for one in shown)
    if answers["nvmlDeviceGetMemoryInfo_v2"] == {"return": codes["NOT_SUPPORTED"]}:
        text = pathlib.Path("/proc/meminfo").read_text()
        total, available = (int(re.search(rf"^{key}: *(\d+) kB", text, re.M).group(1)) * 1024
                            for key in ("MemTotal", "MemAvailable"))  # fmt: skip
        return total - available, total
    return None


def check_memory(answers, shown, codes):
    memory = expected_memory(answers, codes)
    if memory is None:
        yield from (f"{field} is not listed as unsupported" for field in MEMORY if field not in shown["unsupported"])
        return
    used, total = memory
    # Where it is the machine's own memory, its use has moved on since.
    tolerance = 0.3 * total if all(is_refused(answers[f"nvmlDeviceGetMemoryInfo{v}"]) for v in ("", "_v2")) else 0
    if answers["instances"]:
        tolerance = 0
    if shown["memory_total_mb"] != total // MIB or abs(shown["memory_used_mb"] - used // MIB) > tolerance / MIB:
        pair = f"{shown['memory_used_mb']} of {shown['memory_total_mb']} MiB"
        yield f"memory is {pair}, the readers saw {used} of {total}"
    if abs(shown["memory_util_percent"] - 100 * used / total) > 0.0006 + 100 * tolerance / total:
        yield f"memory_util_percent is {shown['memory_util_percent']}, the readers saw {used} of {total}"


def check_gpu(answers, shown, codes):
    if shown["name"] != answers["nvmlDeviceGetName"] + SUFFIX or shown["uuid"] != answers["nvmlDeviceGetUUID"]:
        yield f"it is {shown['name']} {shown['uuid']}"
    for field, sources, scale in FIELDS:
        value = first_answer(answers, sources)
        if (value is None) != (field in shown["unsupported"]):
            yield f"{field}: the readers saw {value}, the page lists {shown['unsupported']} as unsupported"
        elif abs(shown[field] - (value or 0) / scale) > 1e-6:
            yield f"{field} is {shown[field]}, the readers saw {value}, of which {scale} are one"
    yield from check_memory(answers, shown, codes)


def is_lost(answers, codes):
    return any(answer == {"return": codes["GPU_IS_LOST"]} for answer in answers.values())


def check(page, status, body, codes):
    """Sentences for whatever the product shows and the independent reader did not see."""
    gpus = page.get("gpus", [])
    if not gpus:
        cause = "no GPUs found" if page["init"] == 0 else "NVML not initialized"
        if (status, body) != (500, {"error": f"Failed to query GPU: {cause}"}):
            yield f"the product answers {status} {body}"
        return
    if status != 200:
        yield f"the product answers {status} {body}"
        return
    shown = {gpu["index"]: gpu for gpu in body["gpus"]}
    lost = {gpu["index"]: gpu for gpu in body.get("errors", [])}
    for index, answers in enumerate(gpus):
        if is_lost(answers, codes):
            wanted = {"index": index, "uuid": answers["nvmlDeviceGetUUID"], "error": "GPU is lost"}
            if lost.get(index) != wanted or index in shown:
                yield f"the product shows lost GPU {index} as {lost.get(index) or shown.get(index)}"
        elif index not in shown:
            yield f"the product does not show GPU {index}: {lost.get(index)}"
        else:
            yield from (f"the product's GPU {index}: {fault}" for fault in check_gpu(answers, shown[index], codes))
