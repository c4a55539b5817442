"""Whether a page of gputach says what nvidia-smi says: fields, tolerances, verdicts. Pure; Python 3.8 and newer.

A page is read between two runs of nvidia-smi. A figure agrees when it lies between the two answers, widened by the
field's tolerance; a figure that nvidia-smi does not have must be named in Gputach-Unsupported. A moving figure may be
outside in a few rounds, because the driver takes samples of its own in between; a fixed one never.
"""

import re

ROUNDS_OUTSIDE_SHARE_MAX = 0.2  # of the rounds of one GPU, for a moving figure

# What nvidia-smi prints for a figure that is not there for good, and what gputach then calls unsupported. Any other
# text that is no number is a failure, as "[Unknown Error]" and "[GPU is lost]".
ABSENT = {"[N/A]", "N/A", "[Not Supported]", "[Not Available]", "[Insufficient Permissions]", "[Function Not Found]",
          "[Requested functionality has been deprecated]"}  # fmt: skip


def is_number(text):
    return re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text) is not None



class Field:
    """`absolute` and `share` of the value widen the bracket; "fixed" figures have to agree in every round."""

    def __init__(self, query, key, kind, absolute=0.0, share=0.0, cap=None):
        self.query, self.key, self.kind = query, key, kind
        self.absolute, self.share, self.cap = absolute, share, cap

    def tolerance(self):
        if self.kind == "text":
            return "equal"
        return "+-%g" % self.absolute + (" and %g %%" % (self.share * 100) if self.share else "")

    def margin(self, value):
        return self.absolute + self.share * abs(value)


FIELDS = [
    Field("index", "index", "text"),
    Field("name", "name", "text"),
    Field("uuid", "uuid", "text"),
    Field("utilization.gpu", "utilization_percent", "moving", absolute=6),
    # Both are whole MiB, rounded in ways that need not be the same.
    Field("memory.used", "memory_used_mb", "moving", absolute=2, share=0.002),
    Field("memory.total", "memory_total_mb", "fixed", absolute=1),
    Field("temperature.gpu", "temperature_c", "moving", absolute=1),
    Field("power.draw", "power_draw_w", "moving", absolute=2, share=0.05),
    Field("power.limit", "power_limit_w", "fixed", absolute=0.01),  # two decimals against three
    Field("fan.speed", "fan_speed_percent", "moving", absolute=2, cap=100),
]
# Newer nvidia-smi only.
CODEC_FIELDS = [
    Field("utilization.encoder", "encoder_util_percent", "moving", absolute=6),
    Field("utilization.decoder", "decoder_util_percent", "moving", absolute=6),
]


def unsupported_of(header):
    """RFC 8941: `fan_speed_percent=(0 1), power_limit_w=(1)` as {key: {indices}}."""
    found = re.findall(r"([a-z_]+)=\(([0-9 ]*)\)", header or "")
    return {key: {int(index) for index in indices.split()} for key, indices in found}


class Tally:
    """What one field of one GPU has come to over all rounds."""

    def __init__(self):
        self.rounds, self.outside, self.wrong = 0, 0, 0
        self.example, self.note, self.last = "", "", None

    def agree(self, value, note=""):
        self.rounds += 1
        self.last, self.note = value, note or self.note

    def differ(self, kind, sentence):
        self.rounds += 1
        self.outside += kind == "moving"
        self.wrong += kind != "moving"
        self.example = self.example or sentence

    def verdict(self):
        if self.wrong or self.outside > ROUNDS_OUTSIDE_SHARE_MAX * self.rounds:
            return "DIFFERENT"
        return "same" if self.rounds else "never compared"


class Comparison:
    """`machine` says what nvidia-smi cannot: {"memory_mib": of the machine, "mig": any GPU is partitioned}."""

    def __init__(self, fields, machine):
        self.fields, self.machine = fields, machine
        self.tallies = {}

    def tally(self, uuid, key):
        return self.tallies.setdefault((uuid, key), Tally())

    def add_round(self, before, page, headers, after):
        """`before` and `after` are rows of nvidia-smi by UUID, as {query: text}; `page` is the parsed answer."""
        unsupported = unsupported_of(headers.get("Gputach-Unsupported"))
        simulated = headers.get("Gputach-Simulated") == "?1"
        shown = {gpu["uuid"]: gpu for gpu in page.get("gpus", [])}
        failed = {gpu["uuid"]: gpu for gpu in page.get("errors", [])}
        for uuid in sorted(set(before) | set(after) | set(shown) | set(failed)):
            rows = [rows_of[uuid] for rows_of in (before, after) if uuid in rows_of]
            if uuid in failed:
                self._failed(uuid, rows, failed[uuid]["error"])
            elif uuid not in shown:
                self.tally(uuid, "gpu").differ("fixed", "nvidia-smi lists it, gputach does not")
            elif not rows:
                self.tally(uuid, "gpu").differ("fixed", "gputach shows it, nvidia-smi does not list it")
            else:
                self.tally(uuid, "gpu").agree("shown")
                self._compare(uuid, rows, shown[uuid], unsupported, simulated)

    def _failed(self, uuid, rows, error):
        """A GPU that gputach names as failed must be without some figure in nvidia-smi too."""
        texts = {row[field.query] for row in rows for field in self.fields if field.kind != "text"}
        if not rows or any(not is_number(text) and text not in ABSENT for text in texts):
            self.tally(uuid, "gpu").agree("failed: " + error)
        else:
            self.tally(uuid, "gpu").differ("moving", "gputach says `%s`, nvidia-smi has all its figures" % error)

    def _compare(self, uuid, rows, gpu, unsupported, simulated):
        for field in self.fields:
            tally = self.tally(uuid, field.key)
            texts = [row[field.query] for row in rows]
            value = gpu[field.key]
            absent = gpu["index"] in unsupported.get(field.key, ())
            if field.kind == "text":
                shown = str(value)
                if simulated and field.key == "name" and shown.endswith(" (simulated)"):
                    shown = shown[: -len(" (simulated)")]
                self._compare_text(tally, shown, texts)
            elif not all(map(is_number, texts)):
                self._compare_absence(tally, field, value, absent, texts)
            elif absent:
                tally.differ("fixed", "unsupported, nvidia-smi says " + texts[0])
            else:
                self._compare_number(tally, field, value, [float(text) for text in texts])
        self._check_share(uuid, gpu)

    @staticmethod
    def _compare_text(tally, value, texts):
        if all(text == value for text in texts):
            tally.agree(value)
        else:
            tally.differ("fixed", "%s, nvidia-smi says %s" % (value, texts[0]))

    def _compare_absence(self, tally, field, value, absent, texts):
        says = next(text for text in texts if not is_number(text))
        if says not in ABSENT:
            tally.differ("moving", "%s, nvidia-smi says %s" % (value, says))
        elif absent:
            tally.agree("unsupported")
        elif field.key.startswith("memory_") and self._from_elsewhere(value, field):
            tally.agree(value, self._from_elsewhere(value, field))
        else:
            tally.differ("fixed", "%s, nvidia-smi says %s" % (value, says))

    def _from_elsewhere(self, value, field):
        """Where gputach knows more than nvidia-smi prints."""
        total = self.machine.get("memory_mib")
        if total and (field.key == "memory_used_mb" and 0 < value <= total or value == total):
            return "memory of the machine"
        return "sum of MIG instances" if self.machine.get("mig") and value > 0 else ""

    @staticmethod
    def _compare_number(tally, field, value, answers):
        if field.cap is not None:
            answers = [min(answer, field.cap) for answer in answers]
        low, high = min(answers), max(answers)
        if low - field.margin(low) <= value <= high + field.margin(high):
            tally.agree(value)
        else:
            tally.differ(field.kind, "%g, nvidia-smi says %g to %g" % (value, low, high))

    def _check_share(self, uuid, gpu):
        tally, total = self.tally(uuid, "memory_util_percent"), gpu["memory_total_mb"]
        wanted = 100.0 * gpu["memory_used_mb"] / total if total else 0.0
        # Used and total were rounded down before we see them.
        margin = 0.01 + (200.0 / total if total else 0.0)
        if abs(gpu["memory_util_percent"] - wanted) <= margin:
            tally.agree(gpu["memory_util_percent"])
        else:
            tally.differ("fixed", "%g, used / total is %.3f" % (gpu["memory_util_percent"], wanted))

    def rows(self):
        """One result for each field, over all GPUs."""
        fields = [("gpu", "the same GPUs")] + [(field.key, field.tolerance()) for field in self.fields]
        for key, tolerance in fields + [("memory_util_percent", "used / total")]:
            of_field = [(uuid, tally) for (uuid, name), tally in sorted(self.tallies.items()) if name == key]
            bad = [(uuid, tally) for uuid, tally in of_field if tally.verdict() == "DIFFERENT"]
            yield {
                "field": key,
                "tolerance": tolerance,
                "verdict": "DIFFERENT" if bad else "same" if of_field else "never compared",
                "compared": sum(tally.rounds for _, tally in of_field),
                "outside": sum(tally.outside + tally.wrong for _, tally in of_field),
                "example": "%s: %s" % (bad[0][0], bad[0][1].example) if bad else "",
                "notes": sorted({tally.note for _, tally in of_field if tally.note}),
                "last": {uuid: tally.last for uuid, tally in of_field},
            }
