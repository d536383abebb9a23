"""The adapter around `Agent`, as spec/adapter.md, section "fleet", wants it: lines of JSON in, lines of JSON out.

It decides nothing. Its arguments are settings of the agents that a run tells as limits and cannot give: see client.toml.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys

from websockets.exceptions import WebSocketException

from agent import Agent

OPERATIONS = {
    "start": ["connect_timeout_ms", "instance_ids"], "stop": [], "open_room": [], "close_room": [], "drain": [], "undrain": [],
    "terminate": [],
}
LONG = 65536  # characters of a text that is told


def say(line: dict) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


class Session:
    """A session, and its agent from `start` on."""

    def __init__(self, name: str, kind: type[Agent], patience: dict):
        self.name, self.kind, self.patience = name, kind, patience
        self.agent: Agent | None = None
        self.instance_ids = False

    def tell(self, event: str, data: dict) -> None:
        say({"session": self.name, "event": event, "data": data})

    def heard(self, event: str, data: dict) -> None:
        """What the agent tells its owner; of its events the adapter has two."""
        if event == "hello" and self.instance_ids:
            self.tell("connected", {"instance_id": data["instanceId"]})
        elif event == "error":
            self.tell("error", {"message": data["message"][:LONG]})

    def start(self, *, url, key, name, endpoint_url, connect_timeout_ms=None, instance_ids=False, **options) -> None:
        if self.agent:
            raise ValueError("this session has an agent")
        timeout = None if connect_timeout_ms is None else connect_timeout_ms / 1000
        self.agent = self.kind(
            url, key, name, endpoint_url, connect_timeout=timeout, tell=self.heard, **self.patience, **options)
        self.instance_ids = instance_ids
        self.agent.start()

    def turn(self, call: asyncio.Future, event: str) -> None:
        """Tells what becomes of a call of the host."""
        def ended(future: asyncio.Future) -> None:
            self.tell(event, {"error": str(future.exception())} if future.exception() else {})
        call.add_done_callback(ended)


class Adapter:
    def __init__(self, kind: type[Agent], patience: dict):
        self.kind, self.patience = kind, patience
        self.sessions: dict[str, Session] = {}
        self.running: set[asyncio.Task] = set()
        self.terminated = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.signalled)

    def later(self, what) -> None:
        task = asyncio.ensure_future(what)
        self.running.add(task)
        task.add_done_callback(self.running.discard)

    def signalled(self) -> None:
        for session in self.sessions.values():
            if session.agent:
                self.later(session.agent.shutdown())
        self.terminated.set()

    async def perform(self, session: Session, op: str, args: dict) -> dict:
        agent = session.agent
        if op == "hello":
            if args["protocol"] != "fleet":
                raise ValueError(f"this is no client of {args['protocol']}")
            return {"operations": OPERATIONS}
        if op == "end":
            self.sessions.pop(session.name, None)
            if agent:
                await agent.stop()
        elif op == "start":
            session.start(**args)
        elif op not in OPERATIONS:
            raise ValueError(f"there is no operation {op}")
        elif not agent:
            raise ValueError("this session has no agent")
        elif op == "stop":
            await agent.stop()
        elif op == "open_room":
            agent.make_room(args["id"], args["type"])
        elif op == "close_room":
            agent.end_room(args["id"])
        elif op == "drain":
            session.turn(agent.drain(), "drained")
        elif op == "undrain":
            session.turn(agent.undrain(), "undrained")
        else:
            self.terminated.clear()
            os.kill(os.getpid(), signal.SIGTERM)
            await self.terminated.wait()  # a Poll behind the answer is behind the signal
        return {}

    async def answer(self, number, session: Session, op: str, args: dict) -> None:
        try:
            say({"id": number, "ok": await self.perform(session, op, args)})
        except (ValueError, TypeError, KeyError, WebSocketException) as found:
            say({"id": number, "error": f"{type(found).__name__}: {found}"[:LONG]})

    def read(self, line: bytes) -> None:
        """Each request has a task. They begin in their order: an answer to `hello` comes behind what was told before."""
        request = json.loads(line)
        name = request.get("session")
        session = self.sessions.get(name) or Session(name, self.kind, self.patience)
        if name is not None:
            self.sessions[name] = session
        self.later(self.answer(request["id"], session, request["op"], request.get("args", {})))


async def main(patience: dict, kind: type[Agent] = Agent) -> None:
    adapter = Adapter(kind, patience)
    while line := await asyncio.to_thread(sys.stdin.buffer.readline):
        adapter.read(line)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The adapter of the agent for `wireproof run --target client.toml`.")
    parser.add_argument("--hello-timeout", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--silence", type=float, default=120.0, metavar="SECONDS")
    with contextlib.suppress(BrokenPipeError):
        asyncio.run(main(vars(parser.parse_args())))
