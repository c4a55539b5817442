"""How something is measured: in rounds that take turns among what is compared, with an eye on what else runs.

The speed of a shared machine drifts by tens of per cent within minutes. What is compared is therefore measured in the
same round, and the median of the rounds' ratios is what counts.
"""

import dataclasses
import math
import statistics

import machine
import servers

FOREIGN_PERCENT_MAX = 6  # of one processor; above it a run is repeated once
NOISY_SHARE_MAX = 0.25  # of the kept runs above that, before a cell calls itself noisy


@dataclasses.dataclass(frozen=True)
class Figure:
    """A median with its quartiles."""

    median: float
    low: float
    high: float
    count: int


def figure(values):
    values = sorted(values)
    if not values or any(map(math.isnan, values)):
        raise RuntimeError("there is nothing to take a median of")
    low, _, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return Figure(statistics.median(values), low, high, len(values))


@dataclasses.dataclass
class Outcome:
    """What a cell found: figures by the keys of targets.py, the tables that led to them, and how quiet it was."""

    figures: dict
    details: dict
    notes: list = dataclasses.field(default_factory=list)
    foreign_percent: list = dataclasses.field(default_factory=list)
    repeated: int = 0

    @property
    def noisy(self):
        loud = sum(percent > FOREIGN_PERCENT_MAX for percent in self.foreign_percent)
        return loud > NOISY_SHARE_MAX * len(self.foreign_percent)


def watched(work):
    watch = machine.ForeignLoad(servers.running_sessions)
    answer = work()
    return answer | {"foreign_percent": watch.percent()}


def quiet(work):
    """Repeated once when others were busy; the quieter attempt is kept, whatever it says."""
    first = watched(work)
    if first["foreign_percent"] <= FOREIGN_PERCENT_MAX:
        return first
    return min(first, watched(work), key=lambda answer: answer["foreign_percent"]) | {"repeated": True}


def interleaved(count, runs):
    """`count` rounds of all runs, each beginning with another one: a list of {name: answer}."""
    names = list(runs)
    rounds = []
    for number in range(count):
        turn = number % len(names)
        rounds.append({name: quiet(runs[name]) for name in names[turn:] + names[:turn]})
    return rounds


def with_cpu(server, work):
    """The answer of `work` with the processor time that the server's processes took for each of its requests."""
    cpu = server.cpu_seconds()
    answer = work()
    cpu = server.cpu_seconds() - cpu
    answer["cpu_us"] = cpu / answer["requests"] * 1e6
    if "requests_per_s" in answer:
        answer["busy_percent"] = 100 * answer["requests_per_s"] * cpu / answer["requests"]
    return answer


def column(rounds, name, key):
    return [row[name][key] for row in rounds]


def ratios(rounds, name, other, key):
    return [row[name][key] / row[other][key] for row in rounds]


def outcome(rounds, figures, keys, notes=()):
    """With a table of the medians of `keys` for each name."""
    answers = [answer for row in rounds for answer in row.values()]
    table = {
        name: {key: figure(column(rounds, name, key)) for key in keys if rounds[0][name].get(key) is not None}
        for name in rounds[0]
    }
    return Outcome(
        {key: figure(values) for key, values in figures.items()},
        table,
        list(notes),
        [answer["foreign_percent"] for answer in answers],
        sum("repeated" in answer for answer in answers),
    )


def merged(*parts):
    """One outcome out of several."""
    whole = Outcome({}, {})
    for part in parts:
        whole.figures |= part.figures
        whole.details |= part.details
        whole.notes += part.notes
        whole.foreign_percent += part.foreign_percent
        whole.repeated += part.repeated
    return whole
