#!/usr/bin/env python3
"""Drives every check against every real server and every variant of the reference, again and again, and says which verdicts
change from run to run. README.md says how."""

import argparse
import collections
import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SERVERS = sorted(p.name[: -len(".toml")] for p in HERE.parent.glob("*.toml") if not p.name.endswith(".baseline.toml"))
VARIANTS = ["full", "durable", "small-chunks", "bare", "read-only", "authenticated", "retaining", "small-bodies", "rate-limited"]

# What stands between the runner and the target. Latency counts in each direction.
WAYS = {
    "plain": [],
    "busy": [],
    "far": ["--tap", "latency=10", "--tap", "jitter=10"],
    "late": ["--tap", "latency=100"],
    "pieces": ["--tap", "pause=10"],
}

# What says nothing against the target. An inconclusive check says so by its name.
QUIET = ("pass", "untestable", "not-applicable", "not-selected", "inconclusive")


def spin():
    while True:
        pass


def one(job):
    """One run: what it ended with, and what each check said."""
    args, way, number, target = job
    out = args.out / f"{target}.{way}.{number}"
    where = ["--target", str(HERE.parent / f"{target}.toml")]
    if target in VARIANTS:
        where = ["--reference", "stream", "--variant", target]
    command = [args.wireproof, "run", *where, "--quiet", "--out", str(out), *WAYS[way], *args.more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    found = {"target": target, "way": way, "number": number, "exit": done.returncode}
    try:
        result = json.loads((out / "result.json").read_text())
    except (OSError, ValueError):
        found["said"] = done.stderr[-500:]
        return found
    found["ms"] = result["settings"]["duration_ms"]
    found["checks"] = {c["id"]: [c["verdict"], c.get("baselined", False)] for c in result["checks"]}
    found["stale"] = [entry["check"] for entry in result["baseline"]["stale"]]
    if done.returncode not in args.keep:
        for name in ("events.jsonl", "report.html", "summary.md", "junit.xml"):
            (out / name).unlink(missing_ok=True)
    return found


def told(found):
    said = [f"{found['target']} {found['way']} {found['number']}: exit {found['exit']}"]
    if "checks" not in found:
        return f"{said[0]} {found['said']}"
    said.append(f"{found['ms']} ms")
    bad = [f"{check} {verdict}" for check, (verdict, known) in found["checks"].items() if verdict not in QUIET and not known]
    unclear = sum(verdict == "inconclusive" and not known for verdict, known in found["checks"].values())
    said += [f"{unclear} inconclusive"] * (unclear > 0) + bad + [f"stale {check}" for check in found["stale"]]
    return ", ".join(said)


def table(runs):
    """For each target and way: runs, those with a failure that is not known, stale entries, inconclusive checks, and the checks
    that are sometimes one and sometimes the other."""
    lines = ["| target | way | runs | new failures | stale | inconclusive | pass and fail by turns, not known |", "|---|---|---:|---:|---:|---:|---|"]
    groups = collections.defaultdict(list)
    for run in runs:
        groups[run["target"], run["way"]].append(run)
    for (target, way), group in groups.items():
        whole = [run for run in group if "checks" in run]
        verdicts = collections.defaultdict(set)
        for run in whole:
            for check, (verdict, known) in run["checks"].items():
                verdicts[check].add("known" if known else verdict)
        turns = sorted(c for c, seen in verdicts.items() if "pass" in seen and seen & {"fail", "warn", "error"})
        failed = sum(run["exit"] in (1, 4) for run in group) + len(group) - len(whole)
        stale = sum(len(run["stale"]) for run in whole)
        unclear = sum(v == "inconclusive" and not k for run in whole for v, k in run["checks"].values())
        lines.append(f"| {target} | {way} | {len(group)} | {failed} | {stale} | {unclear} | {', '.join(turns) or 'none'} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wireproof", required=True, help="the program")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="a folder for results; runs.jsonl in it grows")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=4, help="how many runs at the same time")
    parser.add_argument("--keep", type=int, nargs="*", default=[1, 4, 5], help="exit codes of runs whose log is kept")
    parser.add_argument("--way", choices=WAYS, action="append", help="may be repeated; without: plain")
    parser.add_argument("--more", default="", help="more options of `wireproof run`, in one text")
    parser.add_argument("targets", nargs="*", help="without any: all servers and variants")
    args = parser.parse_args()
    args.more, args.wireproof = args.more.split(), str(pathlib.Path(args.wireproof).resolve())
    args.out.mkdir(parents=True, exist_ok=True)
    targets = args.targets or SERVERS + VARIANTS
    runs = []
    for way in args.way or ["plain"]:
        spinning = [multiprocessing.Process(target=spin, daemon=True) for _ in range(os.cpu_count() if way == "busy" else 0)]
        for process in spinning:
            process.start()
        jobs = [(args, way, number, target) for number in range(args.rounds) for target in targets]
        with concurrent.futures.ThreadPoolExecutor(args.at_once) as pool, (args.out / "runs.jsonl").open("a") as log:
            for found in pool.map(one, jobs):
                print(told(found), flush=True)
                log.write(json.dumps(found) + "\n")
                log.flush()
                runs.append(found)
        for process in spinning:
            process.terminate()
    print(table(runs))
    return any(run["exit"] in (1, 4) or "checks" not in run for run in runs)


if __name__ == "__main__":
    sys.exit(main())
