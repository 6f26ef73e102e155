#!/usr/bin/env python3
"""The table of what bench/peers/measure.sh left: table.py DIR [KEPT.json], or of what was kept of it: table.py KEPT.json

For each flow and fault, the outage's length (RFC 6414's TBM, in seconds) and the packets lost: median, and the shortest and
longest of all runs. A run without an outage there counts as 0; one that never recovered as such. Then, of the gateways that
say what they do, the parts of each fault's outages as the densest flow saw them, medians in milliseconds.
"""
import glob
import json
import os
import statistics
import sys

KINDS = ["espalier", "keepalived", "keepalived-waiting"]


def outages(report):
    return {(c["flow"], c["fault"], c["kind"]): c for c in report["prediction"]}


def column(values, never):
    known = [v for v in values if v is not None]
    if not known:
        return "never recovered" if values else "-"
    middle, low, high = statistics.median(known), min(known), max(known)
    form = "%d" if all(isinstance(v, int) for v in known) else "%.2f"
    text = form % middle if low == high else (form + " (" + form + " to " + form + ")") % (middle, low, high)
    return text + (", %d never" % never if never else "")


def cells(of, key, side):
    all_of = [run.get(key) for run in of]
    lost = [c[side + "_lost"] if c else 0 for c in all_of]
    tbm = [(c.get(side + "_tbm_s", None if c[side + "_lost"] else 0.0) if c else 0.0) for c in all_of]
    return [column(tbm, sum(t is None for t in tbm)), column(lost, 0)], sum(lost)


def parts(reports):
    found = {}
    for report in reports:
        flow = max(report["flows"], key=lambda f: f["offered"])
        for outage in flow["outages"]:
            if outage.get("fault") is None or "end_s" not in outage:
                continue
            place = found.setdefault((outage["fault"], outage["kind"], flow["name"]), {})
            for part in outage["parts"]:
                place.setdefault(part["part"], []).append(part["s"] * 1000)
    for (fault, kind, flow), of in sorted(found.items()):
        said = ", ".join("%s %.1f (%.1f to %.1f)" % (p, statistics.median(v), min(v), max(v)) for p, v in of.items())
        print("- %d %s, %s: %s" % (fault + 1, kind, flow, said))


def kept(report):
    """What the table is made of, and under which conditions."""
    flow = max(report["flows"], key=lambda f: f["offered"])
    short = {name: flow[name] for name in ("name", "offered", "lost", "recovered")}
    short["outages"] = [{k: v for k, v in o.items() if k not in ("losses",)} for o in flow["outages"]]
    return {"manifest": report["manifest"], "faults": report["faults"], "prediction": report["prediction"], "flows": [short]}


def read(place):
    if os.path.isfile(place):
        with open(place) as file:
            return json.load(file)
    reports = {kind: [] for kind in KINDS}
    for kind in KINDS:
        for name in sorted(glob.glob(os.path.join(place, kind + "-[0-9]*.json"))):
            with open(name) as file:
                reports[kind].append(kept(json.load(file)))
    return reports


def main():
    reports = read(sys.argv[1])
    if len(sys.argv) > 2:
        with open(sys.argv[2], "w") as file:
            json.dump(reports, file, indent=1)
            file.write("\n")
    runs = {kind: [outages(r) for r in reports[kind]] for kind in KINDS}
    print("Runs: %s.\n" % ", ".join("%d of %s" % (len(runs[kind]), kind) for kind in KINDS))
    heads = ["predicted", *KINDS]
    print("| fault | flow | " + " | ".join("%s: TBM, s | lost" % head for head in heads) + " |")
    print("|---|---|" + "---|" * (2 * len(heads)))
    for key in sorted({key for kind in KINDS for run in runs[kind] for key in run}, key=lambda k: (k[1], k[0])):
        flow, fault, kind = key
        row, sum_lost = ["%d %s" % (fault + 1, kind), flow], 0
        for head in heads:
            side, of = ("predicted", "espalier") if head == "predicted" else ("measured", head)
            more, lost = cells(runs[of], key, side)
            row, sum_lost = row + more, sum_lost + lost
        if sum_lost:
            print("| " + " | ".join(row) + " |")
    print()
    parts(reports["espalier"])


main()
