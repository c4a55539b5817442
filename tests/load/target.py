"""One row of a table of targets: what is measured and what it has to reach."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Target:
    key: str  # of the figure that a cell gives
    what: str
    unit: str
    gate: float
    aim: float | None
    at_least: bool = False  # more is better; elsewhere less is
    digits: int = 2
    # What the limit is where a gate is missed, as long as it is. Shown only then.
    missed_because: str = ""

    def reaches(self, value, bound):
        return bound is not None and (value >= bound if self.at_least else value <= bound)


def verdict(target, value):
    if target.reaches(value, target.aim):
        return "aim"
    return "gate" if target.reaches(value, target.gate) else "missed"
