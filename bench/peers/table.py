#!/usr/bin/env python3
"""The table of what bench/peers/measure.sh left: table.py DIR

For each flow and fault, the outage's length (RFC 6414's TBM, in seconds) and the packets lost: median, and the shortest and
longest of all runs. A run without an outage there counts as 0; one that never recovered as such.
"""
import glob
import json
import os
import statistics
import sys

KINDS = ["espalier", "keepalived", "keepalived-waiting"]


def outages(report):
    found = {}
    for compared in report["prediction"]:
        found[(compared["flow"], compared["fault"], compared["kind"])] = compared
    return found


def column(values, never):
    if not values:
        return "-"
    if never == len(values):
        return "never recovered"
    known = [v for v in values if v is not None]
    middle, low, high = statistics.median(known), min(known), max(known)
    form = "%d" if all(isinstance(v, int) for v in known) else "%.2f"
    text = form % middle if low == high else (form + " (" + form + " to " + form + ")") % (middle, low, high)
    return text + (", %d never" % never if never else "")


def main():
    runs = {kind: [] for kind in KINDS}
    for kind in KINDS:
        for name in sorted(glob.glob(os.path.join(sys.argv[1], kind + "-[0-9]*.json"))):
            with open(name) as file:
                runs[kind].append(outages(json.load(file)))
    keys = sorted({key for kind in KINDS for run in runs[kind] for key in run}, key=lambda k: (k[1], k[0]))
    counts = ", ".join("%d of %s" % (len(runs[kind]), kind) for kind in KINDS)
    print("Runs: %s.\n" % counts)
    heads = ["predicted", *KINDS]
    print("| fault | flow | " + " | ".join("%s: TBM, s | lost" % head for head in heads) + " |")
    print("|---|---|" + "---|" * (2 * len(heads)))
    for flow, fault, kind in keys:
        cells = ["%d %s" % (fault + 1, kind), flow]
        for head in heads:
            side = "predicted" if head == "predicted" else "measured"
            of = runs["espalier"] if head == "predicted" else runs[head]
            all_of = [run.get((flow, fault, kind)) for run in of]
            lost = [c[side + "_lost"] if c else 0 for c in all_of]
            tbm = [(c.get(side + "_tbm_s", None if c[side + "_lost"] else 0.0) if c else 0.0) for c in all_of]
            never = sum(t is None for t in tbm)
            cells += [column(tbm, never), column(lost, 0)]
        print("| " + " | ".join(cells) + " |")


main()
