#!/usr/bin/env python3
"""Walks the table of faults (fault_table.py): what a client sees, how soon, at what price for others, how it ends.

Writes what it measured to faults.json in the build's folder. FAULTS=REGEX limits it to some rows.
"""

import concurrent.futures
import datetime
import json
import os
import re
import threading
import time

import fault_report
import harness
from fault_rig import HEALTHY, Pulse, Rig
from fault_table import FAULTS, NOT_INITIALIZED, STOPPED

QUICK_S = 0.05 * harness.SCALE  # for answers that need no pass ...
HICCUPS = 0.005  # ... but for so many of them, on a machine that does other things as well ...
HICCUP_S = 0.5 * harness.SCALE  # ... which take no longer than this
OTHERS_S = 2.5 * harness.SCALE  # one --nvml-timeout late, and some way to the client
WATCHED_S = 1.2  # longer than a page is cached; time to see that nothing is to be seen
BROKEN_S = 8  # so that every delay between attempts has grown to its longest; not scaled, it is no matter of speed
RECORDS = harness.BUILD / "faults.json"
AT_A_TIME = 4


class Walk:
    """One row of the table."""

    def __init__(self, case, fault):
        self.fault = fault
        self.rig = Rig(case, fault)
        self.record = {"what": fault.what}
        self.others_s = None  # the longest wait for a page with figures
        self.hits_s = []
        self.fresh_from = 0.0

    def run(self):
        fault, rig = self.fault, self.rig
        if fault.from_start:
            fault.begin(rig)
            rig.start()
        else:
            rig.start()
            rig.daemon.wait_ready()
            self.ask_until(HEALTHY, time.monotonic() + harness.PATIENCE_S, (HEALTHY, NOT_INITIALIZED))
            self.others_s, self.hits_s = None, []
        pulse = Pulse(rig.daemon)
        ended = threading.Event()
        heart = threading.Thread(target=self.beat, args=(pulse, ended))
        heart.start()
        try:
            self.break_and_mend()
        finally:
            ended.set()
            heart.join(harness.PATIENCE_S)
            pulse.close()
            for step in reversed(rig.undo):
                step()
        self.check(sorted(pulse.seconds + self.hits_s))
        return self.record

    def beat(self, pulse, ended):
        try:
            while not ended.wait(0.02):
                pulse.beat()
        except (AssertionError, OSError) as error:
            self.record["pulse"] = str(error)

    def break_and_mend(self):
        fault, rig = self.fault, self.rig
        began = time.monotonic()
        if not fault.from_start:
            fault.begin(rig)
        meanwhile = (HEALTHY, *fault.sees) + ((NOT_INITIALIZED,) if fault.from_start else ())
        soon = began + fault.soon_s * harness.SCALE
        self.ask_until(fault.sees[0], soon, meanwhile)
        self.record["seen_s"] = round(time.monotonic() - began, 2)
        if fault.lasts_s is not None:
            # The file must not hold it any more when the call that is out returns.
            rig.mend()
        until = time.monotonic() + (WATCHED_S * harness.SCALE if fault.sees[0] == HEALTHY else BROKEN_S)
        if fault.lasts_s is not None:
            until = self.end_of_call(began) if fault.slow_call else began + fault.lasts_s
        while time.monotonic() < until:
            self.ask(meanwhile)
        self.record["others_s"] = self.others_s and round(self.others_s, 2)
        if fault.log:
            rig.daemon.wait_for_log(rf" {fault.log} ")
        if fault.counted:
            dropped = rig.daemon.stats("/proxy/v1/daemon")["out_of_range"]
            if not dropped.pop(fault.counted) or any(dropped.values()):
                raise AssertionError(f"not {fault.counted} alone is counted: {dropped}")
        if fault.back_s is None:
            return
        ended = time.monotonic() if fault.lasts_s is None else until
        # What is cached from before the fault does not count.
        self.fresh_from = time.time() - (time.monotonic() - ended)
        if fault.lasts_s is None:
            rig.mend()
        self.ask_until(HEALTHY, ended + fault.back_s * harness.SCALE, (HEALTHY, *fault.sees, STOPPED, NOT_INITIALIZED))
        self.record["back_s"] = round(max(0, time.monotonic() - ended), 2)

    def end_of_call(self, began):
        symbol, gpu = self.fault.slow_call
        calls = [c.at_ns / 1e9 for c in self.rig.daemon.calls() if (c.symbol, c.gpu) == (symbol, gpu)]
        return min(at for at in calls if at > began) + self.fault.lasts_s

    def ask_until(self, wanted, deadline, allowed):
        while True:
            seen = self.ask(allowed, wanted)
            if time.monotonic() > deadline:
                raise AssertionError(f"not seen in time: {wanted.text()}")
            if seen:
                return

    def ask(self, allowed, wanted=None):
        response = self.rig.daemon.get()
        if response.cache == "HIT":
            self.hits_s.append(response.seconds)
        elif response.status == 200:
            self.others_s = max(self.others_s or 0, response.seconds)
        if not any(sees.matches(response, self.rig.rows) for sees in allowed):
            raise AssertionError(f"unexpected: {response.status} {response.body.decode()[:2000]}")
        time.sleep(0.03)  # the pace of a client, not a wait for something
        return wanted is not None and wanted.matches(response, self.rig.rows) and self.fresh(response)

    def fresh(self, response):
        if response.status != 200:
            return True
        return datetime.datetime.fromisoformat(response.json()["timestamp"]).timestamp() >= self.fresh_from

    def check(self, quick_s):
        if "pulse" in self.record:
            raise AssertionError(self.record["pulse"])
        self.record["quick_ms"] = round(1000 * quick_s[int(len(quick_s) * 0.99)], 1)
        self.record["quick_max_ms"] = round(1000 * quick_s[-1], 1)
        slow = sum(seconds > QUICK_S for seconds in quick_s)
        if slow > max(1, HICCUPS * len(quick_s)) or quick_s[-1] > HICCUP_S:
            raise AssertionError(f"{slow} of {len(quick_s)} answers that need no pass took up to {quick_s[-1]:.3f} s")
        if (self.others_s or 0) > OTHERS_S:
            raise AssertionError(f"the other GPUs' figures took {self.others_s:.2f} s")


class Faults(harness.TestCase):
    def test_every_fault_shows_what_the_table_says_and_is_over_in_time(self):
        wanted = [f for f in FAULTS if re.search(os.environ.get("FAULTS", ""), f.what)]
        with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
            # The longest first, so that the others go on beside it.
            order = sorted(wanted, key=lambda fault: -(fault.lasts_s or 0))
            runs = {fault.what: pool.submit(self.walk, fault) for fault in order}
        records = []
        for fault in wanted:
            with self.subTest(fault.what):
                record = runs[fault.what].result()
                records.append(record)
                if "not_run" in record:
                    print(f"NOT RUN: {fault.what}: {record['not_run']}")
        RECORDS.write_text(json.dumps({"machine": fault_report.machine(), "faults": records}, indent=1) + "\n")

    def walk(self, fault):
        if reason := fault.unless():
            return {"what": fault.what, "not_run": reason}
        return Walk(self, fault).run()

    def test_the_table_in_the_documents_is_this_one(self):
        self.assertEqual(fault_report.difference(), "")

    def test_each_row_has_a_name_of_its_own_and_an_event_that_is_described(self):
        names = [fault.what for fault in FAULTS]
        self.assertEqual(len(names), len(set(names)))
        described = fault_report.OPERATIONS.read_text()
        for fault in FAULTS:
            if fault.log:
                self.assertIn(f"\n| `{fault.log}` |", described)


if __name__ == "__main__":
    harness.main()
