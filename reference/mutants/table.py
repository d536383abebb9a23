"""The committed table of a run: what was drawn, what came of it, and what is said about each mutant that was not caught."""

import json
from collections import Counter

# What is said of a mutant that was not caught. The first three are no fault of the suite.
CLASSES = {
    "equivalent": "does the same for every input",
    "inside": "differs, but not in what a client can see: memory, disk, log lines, or an end that no client survives",
    "free": "differs visibly, and the specification leaves it free",
    "absent": "answers nothing, or ends at its first writes: a run is inconclusive, and nobody takes that for a green one",
    "gap": "differs visibly and is required: the suite should see it",
}
CAUGHT = ("caught",)
APART = {
    "does-not-start": "the server does not come up on a variant: nothing for a suite to see",
    "dead": "the server comes up and on a variant answers no request, so that no check comes to a verdict",
    "not-blamed": "checks come to no verdict or the server ends, and no check blames it",
    "timeout": "a run does not end in time and has no failure",
    "caught-once": "one check failed once and not again",
    "suite-error": "the suite itself went wrong",
}


def cell(text):
    return str(text).replace("|", "\\|").replace("\n", " ")


def seen_by(result):
    """The checks that blame a mutant, with their requirements, by variant."""
    found = {}
    for one in result.get("trials", []):
        if "again" not in one:
            for level in ("fail", "warn"):
                for check, requirement in one.get(level, []):
                    found.setdefault((check.removeprefix("stream/"), requirement, level), []).append(one["variant"])
    return found


def blame(result):
    found = seen_by(result)
    if not found:
        return ""
    # A broken MUST says more than a broken SHOULD.
    first = sorted(found, key=lambda key: (key[2] != "fail", key[1], key[0]))[:2]
    named = ", ".join(f"{check} ({requirement}{', warn' if level == 'warn' else ''})" for check, requirement, level in first)
    more = len(found) - len(first)
    variants = sorted({variant for where in found.values() for variant in where})
    return f"{named}{f' and {more} more' if more else ''}; {', '.join(variants)}"


def written(every, results, judged, seed, count, honest):
    """The table as Markdown, and the score."""
    results = sorted(results, key=lambda result: result["position"])
    tried = [result for result in results if result["outcome"] != "unviable"][:count]
    last = tried[-1]["position"] if tried else 0
    places = [result["position"] for result in results]
    if missing := sorted(set(range(1, last + 1)) - set(places)):
        raise SystemExit(f"these positions of the draw were not tried: {missing}")
    unviable = [result for result in results if result["outcome"] == "unviable" and result["position"] <= last]
    outcomes = Counter(result["outcome"] for result in tried)
    open_ = [result for result in tried if result["outcome"] not in CAUGHT]
    said = Counter(judged.get(result["name"], {}).get("class", "not judged") for result in open_)
    caught = outcomes["caught"]
    warned = sum(
        1 for result in tried
        if result["outcome"] == "caught" and not any(level == "fail" for _, _, level in seen_by(result))
    )
    hidden = said["equivalent"] + said["inside"] + said["free"]
    observable = len(tried) - hidden
    there = observable - said["absent"]
    drawn = [mutant for mutant in every if not mutant["out"]]
    lines = [
        "# The table", "",
        "Written by `mutants.py table`; README.md says what the words mean.", "",
        "| | |", "|---|---|",
        f"| mutants of the crate | {len(every)} |",
        f"| of these in scope | {len(drawn)} |",
        f"| seed of the draw | {seed} |",
        f"| tried: the first of the draw that build | {len(tried)} (positions 1 to {last}; {len(unviable)} do not build) |",
        f"| the unmutated reference, on the same terms | clean, {min(honest.values(), default=0)} times on each variant |",
        f"| caught | {caught} (by warnings alone: {warned}) |",
    ]
    lines += [f"| {word} | {outcomes[word]} |" for word in ["survived", *APART] if outcomes[word]]
    lines += [f"| not caught: {word} | {said[word]} |" for word in [*CLASSES, "not judged"] if said[word]]
    lines += [
        f"| **caught of those that are observable and required** | **{part(caught, observable)}** |",
        f"| **the same without servers that answer nothing (absent)** | **{part(caught, there)}** |",
        "",
    ]
    files = Counter(mutant["name"].split(":")[0] for mutant in drawn)
    lines += ["## By file", "", "| file | in scope | tried | caught | absent | gap |", "|---|---|---|---|---|---|"]
    for file, number in sorted(files.items()):
        here = [result for result in tried if result["name"].startswith(f"{file}:")]
        met = sum(result["outcome"] in CAUGHT for result in here)
        words = Counter(judged.get(r["name"], {}).get("class", "gap") for r in here if r in open_)
        file = file.removeprefix("reference/src/")
        lines.append(f"| {file} | {number} | {len(here)} | {met} | {words['absent']} | {words['gap']} |")
    lines += ["", "## Not caught", "", "| draw | mutant | outcome | said of it | why |", "|---|---|---|---|---|"]
    lines += [said_of(result, judged) for result in open_]
    lines += ["", "## All", "", "| draw | mutant | outcome | by | s |", "|---|---|---|---|---|"]
    for result in results:
        if result["position"] <= last:
            name = result["name"].removeprefix("reference/src/")
            lines.append(
                f"| {result['position']} | {cell(name)} | {result['outcome']} | {cell(blame(result))} "
                f"| {result.get('seconds', '')} |"
            )
    beyond = [result for result in results if result["position"] > last and result["outcome"] != "unviable"]
    if beyond:
        met = sum(result["outcome"] in CAUGHT for result in beyond)
        lines += [
            "", "## Beyond the sample", "",
            f"Positions {last + 1} to {places[-1]} of the draw, tried with what time was left and no part of the score: "
            f"{met} of {len(beyond)} that build were caught. The others:", "",
            "| draw | mutant | outcome | said of it | why |", "|---|---|---|---|---|",
        ]
        lines += [said_of(result, judged) for result in beyond if result["outcome"] not in CAUGHT]
    return "\n".join(lines) + "\n"


def said_of(result, judged):
    word = judged.get(result["name"], {})
    name = cell(result["name"].removeprefix("reference/src/"))
    said = word.get("class", "not judged")
    return f"| {result['position']} | {name} | {result['outcome']} | {said} | {cell(word.get('why', ''))} |"


def part(some, all_):
    return f"{some} of {all_}: {100 * some / all_:.1f} %" if all_ else "none"


def load(path):
    return json.loads(path.read_text()) if path.exists() else {}
