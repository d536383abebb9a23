"""One trial: a server of one variant, the suite run against it over the wire, and what came of it."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field

# Seconds. A server that says nothing for so long does not start; a run that takes longer is told to end and to report.
STARTS = 10
RUNS = 120
ENDS = 15
# A mutant that never stops allocating or writing must not take the machine with it.
MEMORY = 6 * 2**30
FILE = 2**30

AUTHORIZATION = "Bearer 6d7574616e7473"


@dataclass
class Variant:
    """What a server is started with, and what its owner declares."""

    arguments: list
    features: dict = field(default_factory=dict)
    limits: dict = field(default_factory=dict)
    headers: dict = field(default_factory=dict)
    # Started, restarted and killed by the suite, with a directory for its data.
    durable: bool = False
    # A variant about one thing: the checks about it, as in the self-test. The others want more than it gives.
    only: tuple = ()


POLL = "long-poll-ms=400"
# Those of the self-test, and one more: data on disk that is read in pieces.
VARIANTS = {
    "full": Variant([POLL]),
    "durable": Variant([POLL, "sse-ms=4000"], limits={"sse-ms": 4000}, durable=True),
    "small-chunks": Variant(["long-poll-ms=1500", "chunk=16"], limits={"long-poll-ms": 1500}),
    "authenticated": Variant(
        [POLL, f"authorization={AUTHORIZATION}", "lettered=true"],
        features={"stream.access-control": "on"},
        headers={"authorization": AUTHORIZATION},
    ),
    "rate-limited": Variant(
        [POLL, "burst=24"], features={"stream.rate-limit": "on"}, limits={"burst-requests": 64},
        only=("stream/http/burst*",),
    ),
    "retaining": Variant(
        [POLL, "retain=4096"], features={"stream.retention": "on"}, limits={"retained-bytes": 4096},
        only=("stream/offsets/dropped",),
    ),
    "small-bodies": Variant([POLL, "max-body=65536"], limits={"max-body-bytes": 65536}, only=("stream/append/too-long",)),
    "read-only": Variant([POLL, "writes=false"], features={"stream.read-only": "on"}),
    "bare": Variant(
        [POLL, "sse=false", "forks=false"], features={"stream.sse": "off", "stream.forks": "off"}
    ),
    "durable-chunks": Variant(
        ["long-poll-ms=1500", "chunk=16"], limits={"long-poll-ms": 1500}, durable=True
    ),
}


def bound():
    """In the process that becomes the server, or the shell of it."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE, FILE))
    os.setpgid(0, 0)


def quoted(text):
    # A JSON string is a basic string of TOML.
    return json.dumps(str(text))


def target(variant, url, command=None):
    """A target file. Features that the suite would otherwise assume are declared, so that nothing is left out unseen."""
    features = {"stream.sse": "on", "stream.forks": "on", "stream.http2": "on"}
    features["stream.crash-safe"] = "on" if variant.durable else "off"
    features |= variant.features
    limits = {"long-poll-ms": 400} | variant.limits
    lines = ['protocol = "stream"', f"url = {quoted(url)}"]
    if command:
        lines += ["[launch]", f"command = {quoted(command)}", f"ready_timeout_ms = {STARTS * 1000}"]
    for name, table in [("headers", variant.headers), ("features", features), ("limits", limits)]:
        lines += [f"[{name}]"] + [
            f"{quoted(key)} = {value if isinstance(value, int) else quoted(value)}" for key, value in table.items()
        ]
    return "\n".join(lines) + "\n"


class NotStarted(Exception):
    """The server does not listen."""


def started(binary, variant, log):
    """The process of a server that listens, and its root."""
    with open(log, "wb") as out:
        process = subprocess.Popen(
            [binary, *variant.arguments],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=bound,
        )
    until = time.monotonic() + STARTS
    while True:
        said = read(log)
        if found := re.search(r"^listening (\S+)$", said, re.MULTILINE):
            return process, found[1]
        if process.poll() is not None or time.monotonic() > until:
            end(process, signal.SIGKILL)
            raise NotStarted(said.strip()[-300:] or "it says nothing")
        time.sleep(0.02)


def end(process, how):
    """Ends a process and its group."""
    try:
        os.killpg(process.pid, how)
    except ProcessLookupError:
        pass
    process.wait()


def orphans(folder):
    """Ends the servers that a suite had launched that was killed: they run in the directory of its target file."""
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and os.readlink(f"/proc/{entry}/cwd") == os.path.realpath(folder):
                os.kill(int(entry), signal.SIGKILL)
        except OSError:
            pass


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def trial(suite, binary, name, folder, only=(), whole=True):
    """Runs the suite against one variant of a server and says what it saw: up to the first failure, or as a whole."""
    variant = VARIANTS[name]
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(f"{folder}/tmp")
    began = time.monotonic()
    server = None
    seen = {"variant": name}
    try:
        if variant.durable:
            arguments = " ".join(f"'{argument}'" for argument in variant.arguments)
            command = f"exec '{binary}' addr=127.0.0.1:{{port}} data='{{data}}' {arguments}"
            text = target(variant, "http://127.0.0.1:{port}/v1/stream", command)
        else:
            server, root = started(binary, variant, f"{folder}/server.log")
            text = target(variant, root)
        with open(f"{folder}/target.toml", "w") as file:
            file.write(text)
        seen |= suite_run(suite, folder, only or variant.only, whole)
        if server and server.poll() is not None:
            seen["server_ended"] = read(f"{folder}/server.log").strip()[-300:]
    except NotStarted as error:
        seen |= {"not_started": str(error)}
    finally:
        if server:
            end(server, signal.SIGKILL)
    seen["seconds"] = round(time.monotonic() - began, 1)
    return seen


def suite_run(suite, folder, only, whole):
    command = [suite, "run", "--target", f"{folder}/target.toml", "--out", f"{folder}/out", "--quiet"]
    command += [] if whole else ["--fail-fast"]
    for glob in only:
        command += ["--only", glob]
    environment = os.environ | {"TMPDIR": f"{folder}/tmp"}
    with open(f"{folder}/suite.log", "wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, preexec_fn=bound
        )
    seen = {}
    try:
        process.wait(RUNS)
    except subprocess.TimeoutExpired:
        seen["too_long"] = True
        process.send_signal(signal.SIGINT)
        try:
            process.wait(ENDS)
        except subprocess.TimeoutExpired:
            seen["suite_hangs"] = True
            end(process, signal.SIGKILL)
            orphans(folder)
    said = read(f"{folder}/suite.log")
    seen["exit"] = process.returncode
    # Of the suite itself: neither is ever a target's fault.
    if process.returncode not in (0, 1, 3, -signal.SIGINT, 130) or "panicked" in said:
        seen["suite_said"] = said.strip()[-600:]
    try:
        with open(f"{folder}/out/result.json") as file:
            result = json.load(file)
    except (FileNotFoundError, json.JSONDecodeError):
        seen["not_started" if "the target did not start" in said else "no_result"] = said.strip()[-600:]
        return seen
    seen["verdict"] = result["verdict"]
    seen["passed"] = sum(check["verdict"] == "pass" for check in result["checks"])
    for verdict in ("fail", "warn", "error", "inconclusive", "untestable"):
        found = [[c["id"], c.get("decided_by") or ""] for c in result["checks"] if c["verdict"] == verdict]
        if found:
            seen[verdict] = found
    return seen
