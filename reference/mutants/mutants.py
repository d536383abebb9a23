#!/usr/bin/env python3
"""Mutants of the reference, with the suite over the wire as their only test. README.md says why and how."""

import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from table import load, written
from trial import VARIANTS, trial

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SEED = 20261121
COUNT = 150
TOOL = "27.1.0"
BUILDS = 600

# What is not drawn from, and why; fixed before the draw. Each is a pattern of the names that cargo-mutants gives.
OUT = [
    (r"^reference/src/stream/seams\.rs:", "values for the self-test: honest seams change nothing, limits are given"),
    (r" Running::kill", "an end within the process, for the self-test; over the wire a kill is a signal"),
    (r"sqlite\.rs:.*\b(rewrite|entry|cut)\b", "an old or torn log, which only a defect makes"),
]
# Which variants are tried, the likeliest first, by what is mutated; README.md says why not every one.
ALL = ["full", "small-chunks", "durable", "authenticated", "retaining", "rate-limited", "small-bodies", "read-only",
       "bare", "durable-chunks"]
TRIED = [
    (r"log/sqlite\.rs", ["durable", "durable-chunks"]),
    (r"log/memory\.rs", ["full", "small-chunks", "retaining"]),
    (r"gate\.rs", ["authenticated", "rate-limited", "read-only", "full"]),
    (r"stream/(http|content|sse)\.rs", ["full", "small-chunks", "small-bodies", "retaining"]),
    (r"stream/message\.rs", ["full", "small-chunks", "bare", "retaining", "durable"]),
    (r"stream/model/(read|answer)\.rs", ["full", "small-chunks", "retaining", "durable"]),
    (r"stream/server\.rs", ["full", "durable", "small-chunks", "authenticated", "rate-limited"]),
    (r"", ["full", "durable", "small-chunks", "retaining"]),
]


def variants_of(mutant):
    return next(names for pattern, names in TRIED if re.search(pattern, mutant["file"]))


def listed(tree):
    """Every mutant of the reference, in the order of the draw."""
    command = ["cargo", "mutants", "--list", "--json", "--diff", "--package", "wireproof-reference"]
    done = subprocess.run(command, cwd=tree, stdout=subprocess.PIPE, check=True, text=True)
    mutants = json.loads(done.stdout)
    for mutant in mutants:
        mutant["out"] = next((why for pattern, why in OUT if re.search(pattern, mutant["name"])), None)
        digest = hashlib.sha256(f"{SEED} {mutant['name']}".encode()).hexdigest()
        mutant["draw"] = digest
    mutants.sort(key=lambda mutant: mutant["draw"])
    drawn = [mutant for mutant in mutants if not mutant["out"]]
    for position, mutant in enumerate(drawn, 1):
        mutant["position"] = position
    return mutants


class Work:
    """A copy of the tree in which mutants are built, and where they are tried."""

    def __init__(self, folder):
        self.folder = Path(folder).resolve()
        self.tree = self.folder / "tree"
        self.folder.mkdir(parents=True, exist_ok=True)

    def copy(self):
        """The committed tree, so that a result names a commit."""
        shutil.rmtree(self.tree, ignore_errors=True)
        self.tree.mkdir()
        archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE, check=True)
        subprocess.run(["tar", "x"], cwd=self.tree, input=archive.stdout, check=True)

    def mutants(self):
        kept = self.folder / "list.json"
        if not kept.exists():
            self.copy()
            kept.write_text(json.dumps(listed(self.tree)))
        return json.loads(kept.read_text())

    def build(self, name, diff=None):
        """The server with a mutant in it: its path, or what the compiler says."""
        if diff:
            self.patch(diff)
        try:
            environment = os.environ | {
                "CARGO_INCREMENTAL": "0",
                "CARGO_PROFILE_DEV_DEBUG": "0",
                # As a release does: a sum that wraps is no panic.
                "CARGO_PROFILE_DEV_OVERFLOW_CHECKS": "false",
                "CARGO_TARGET_DIR": os.environ.get("CARGO_TARGET_DIR", str(self.folder / "target")),
                "RUSTFLAGS": "--cap-lints=allow",
            }
            command = ["cargo", "build", "--quiet", "--locked", "--package", "wireproof-reference", "--example", "mutant"]
            built = subprocess.run(
                command, cwd=self.tree, env=environment, timeout=BUILDS, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )
        finally:
            if diff:
                self.patch(diff, "--reverse")
        if built.returncode:
            return None, built.stdout
        binary = self.folder / "servers" / name
        binary.parent.mkdir(exist_ok=True)
        # One that still runs is not written over.
        binary.unlink(missing_ok=True)
        shutil.copy2(Path(environment["CARGO_TARGET_DIR"]) / "debug" / "examples" / "mutant", binary)
        return str(binary), None

    def patch(self, diff, *how):
        # cargo-mutants writes a sentence behind the name of the new file; the old one names the file.
        lines = diff.splitlines(keepends=True)
        lines[1] = "+++" + lines[0][3:]
        subprocess.run(
            ["patch", "--quiet", "--strip=0", "--no-backup-if-mismatch", *how],
            cwd=self.tree, input="".join(lines), text=True, check=True,
        )


def pairs(suite, binary, names, folder):
    """The trials of these variants, two at a time."""
    for at in range(0, len(names), 2):
        pair = names[at:at + 2]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            found = pool.map(lambda name: trial(suite, binary, name, f"{folder}/{name}"), pair)
            yield from zip(pair, list(found))


def tried(suite, binary, names, folder, usual):
    """The trials of one server, one variant after the other, until something is seen."""
    trials = []
    for name in names:
        one = trial(suite, binary, name, f"{folder}/{name}", whole=False)
        trials.append(one)
        caught = blamed(one)
        if len(caught) == 1:
            # One check may be a busy machine: once more alone, and if it says nothing then, everything once more.
            only = [caught[0][0]]
            trials.append(trial(suite, binary, name, f"{folder}/{name}-again", only) | {"again": only})
            one["sure"] = bool(blamed(trials[-1]))
            if not one["sure"]:
                trials.append(trial(suite, binary, name, f"{folder}/{name}-whole") | {"again": ["*"]})
                one["sure"] = bool(blamed(trials[-1]))
        elif caught:
            one["sure"] = True
        elif only := sorted({check for check, _ in withheld(one, usual)}):
            trials.append(trial(suite, binary, name, f"{folder}/{name}-again", only) | {"again": only})
            # What was in the way of a verdict may have been the machine, and is seen now.
            one["sure"] = bool(blamed(trials[-1]))
        if one.get("sure") or "not_started" in one:
            break
    return trials


def blamed(one):
    return one.get("fail", []) + one.get("warn", [])


def withheld(one, usual):
    known = {check for check, _ in usual.get(one["variant"], [])}
    return [found for found in one.get("inconclusive", []) if found[0] not in known]


def outcome(trials, usual):
    """What the trials say of a mutant, in one word."""
    first = [one for one in trials if "again" not in one]
    again = [one for one in trials if "again" in one]
    if any("suite_said" in one or "suite_hangs" in one or "error" in one for one in trials):
        return "suite-error"
    if any(one.get("sure") for one in first):
        return "caught"
    if any("not_started" in one for one in first):
        return "does-not-start"
    if any(blamed(one) for one in trials):
        return "caught-once"
    if any(one.get("passed") == 0 and not VARIANTS[one["variant"]].only for one in first):
        return "dead"
    if any("too_long" in one or "no_result" in one for one in first):
        return "timeout"
    if any("server_ended" in one for one in first) or any(withheld(one, usual) for one in again):
        return "not-blamed"
    return "survived"


def results(path):
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def keep(path, result):
    with open(path, "a") as file:
        file.write(json.dumps(result) + "\n")


def suite_of(_):
    suite = os.environ.get("WIREPROOF")
    if not suite:
        sys.exit("WIREPROOF: expected the path of a built wireproof, which is the test")
    return suite


def usual_of(folder):
    """What stays open on the unmutated reference, by variant."""
    usual = {}
    for one in results(folder / "honest.jsonl"):
        usual.setdefault(one["variant"], []).extend(one.get("inconclusive", []))
    if not usual:
        sys.exit("the unmutated reference was not tried: `mutants.py honest` first")
    return usual


def honest(arguments):
    """The unmutated reference through the same trials: clean, or nothing else means anything."""
    suite, work = suite_of(arguments), Work(arguments.work)
    work.mutants()
    binary, why = work.build("honest")
    if why:
        sys.exit(why)
    clean, kept = True, work.folder / "honest.jsonl"
    for time_ in range(arguments.times):
        for name, one in pairs(suite, binary, ALL, f"{work.folder}/honest"):
            print(time_ + 1, json.dumps(one), flush=True)
            keep(kept, one)
            clean &= not blamed(one) and one.get("exit") in (0, 3) and "server_ended" not in one
    sys.exit(0 if clean else "the unmutated reference is blamed: no score means anything")


def run(arguments):
    """Tries mutants in the order of the draw, two at a time; another is built meanwhile."""
    suite, work = suite_of(arguments), Work(arguments.work)
    path = work.folder / "results.jsonl"
    usual = usual_of(work.folder)
    shard, shards = (int(part) for part in arguments.shard.split("/"))
    done = {result["position"]: result for result in results(path)}
    drawn = [mutant for mutant in work.mutants() if not mutant["out"]]
    todo = [m for m in drawn if m["position"] % shards == shard % shards and m["position"] not in done]
    viable = sum(result["outcome"] != "unviable" for result in done.values())
    places = threading.Semaphore(3)

    def told(result):
        keep(path, result)
        print(result["position"], result["outcome"], result.get("seconds", 0), result["name"], flush=True)
        places.release()

    def attempt(mutant, binary, result):
        began = time.monotonic()
        folder = f"{work.folder}/trials/{mutant['position']}"
        trials = tried(suite, binary, variants_of(mutant), folder, usual)
        result |= {"outcome": outcome(trials, usual), "seconds": round(time.monotonic() - began, 1), "trials": trials}
        if result["outcome"] == "caught":
            shutil.rmtree(folder)
            os.remove(binary)
        told(result)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        attempts = []
        for mutant in todo:
            if viable >= arguments.count or (arguments.until and mutant["position"] > arguments.until):
                break
            places.acquire()
            began = time.monotonic()
            binary, why = work.build(str(mutant["position"]), mutant["diff"])
            result = {key: mutant[key] for key in ("position", "name")}
            result["build_seconds"] = round(time.monotonic() - began, 1)
            if why:
                told(result | {"outcome": "unviable"})
            else:
                viable += 1
                attempts.append(pool.submit(attempt, mutant, binary, result))
        for one in attempts:
            one.result()


def table(arguments):
    """Writes the committed results and the table from them."""
    work = Work(arguments.work)
    kept = HERE / "results.jsonl"
    if (new := work.folder / "results.jsonl").exists():
        kept.write_text("".join(json.dumps(short(result)) + "\n" for result in sorted(results(new), key=place)))
    honest = Counter(one["variant"] for one in results(work.folder / "honest.jsonl"))
    text = written(work.mutants(), results(kept), load(HERE / "judged.json"), SEED, COUNT, honest)
    (HERE / "table.md").write_text(text)


def place(result):
    return result["position"]


def short(result):
    """A result without the long lists: what ends without a verdict in a run that stopped at its first failure."""
    for one in result.get("trials", []):
        for word in ("inconclusive", "untestable", "again"):
            if len(one.get(word, [])) > 8:
                one[word] = len(one[word])
        for word in ("not_started", "no_result", "server_ended", "suite_said"):
            if word in one:
                # Where it was run is nobody's business.
                one[word] = re.sub(r"(/[\w.-]+)+/", "", one[word])
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", default=str(ROOT / "target" / "mutants"), help="where everything is built and kept")
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("honest", help="try the unmutated reference")
    one.add_argument("--times", type=int, default=3)
    one.set_defaults(do=honest)
    one = commands.add_parser("run", help="try mutants; what was tried is not tried again")
    one.add_argument("--shard", default="1/1", help="K/N: every Nth of the draw, from the Kth")
    one.add_argument("--until", type=int, help="the last position of the draw that is tried")
    one.add_argument("--count", type=int, default=COUNT, help="how many that build are tried")
    one.set_defaults(do=run)
    one = commands.add_parser("table", help="write results.jsonl and table.md beside this script")
    one.set_defaults(do=table)
    arguments = parser.parse_args()
    arguments.do(arguments)


if __name__ == "__main__":
    main()
