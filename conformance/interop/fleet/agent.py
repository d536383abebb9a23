"""An agent of the protocol fleet, as a class (`Agent`) and as a program.

It was written from spec/fleet.md, its schemas and its fixtures alone. Names in quotes are sections of that document.
"""

import argparse
import asyncio
import json
import os
import random
import re
import secrets
import signal
import sys

from websockets.client import ClientProtocol
from websockets.exceptions import WebSocketException
from websockets.frames import Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from codec import VERSION, Malformed, decode, decode_outer, encode, encode_outer, hash_of, units

SENTINEL = "rivalis-fleet.v1"
LONGEST_MESSAGE = 4194304


class OtherVersion(Exception):
    """The orchestrator speaks another version: there is no use in dialling again."""


class Ended(Exception):
    """The connection ended, or was left, and is dialled again."""


def _bounded(what: str, text: str, longest: int) -> str:
    """A text of the owner that keeps to "Snapshot"."""
    if not isinstance(text, str) or len(units(text)) // 2 > longest or re.search("[\ud800-\udfff]", text):
        raise ValueError(f"{what}: a text of at most {longest} units was expected, not {text!r:.80}")
    return text


def _whole(what: str, number: int | None, most: int) -> int | None:
    if number is not None and (type(number) is not int or not 0 <= number <= most):
        raise ValueError(f"{what}: a whole number from 0 to {most} was expected, not {number!r:.80}")
    return number


class Agent:
    """One agent. Everything but `stop` and `shutdown` returns at once; times are in seconds.

    `tell(event, data)` is called with `hello` and its instanceId, `error` and `warning` with a message, and `ended`, with an
    error if the agent gave up. `make(id, type)` and `end(id)` are called before a Cmd makes or ends a room; what they raise
    is why it does not.
    """

    def __init__(self, url: str, key: str, name: str, endpoint: str, *, room_types=(), labels: dict | None = None,
                 max_connections: int | None = None, max_rooms: int | None = None, auto_create: bool = True,
                 agent_version: str = "0.1.0", connect_timeout: float | None = None, hello_timeout: float = 60.0,
                 silence: float = 120.0, tell=None, make=None, end=None):
        self._uri = parse_uri(url)
        # The library drops what it holds for parameters: the path is cut out of the URL as it stands.
        target = re.sub(r"^[^:]*://[^/?]*", "", url)
        self._target = target if target.startswith("/") else "/" + target
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", key) or key == SENTINEL:
            raise ValueError("a key consists of characters of a token, and is not the sentinel")
        if not re.match(r"(?i)(ws|http)s?://[^/?#]", endpoint):
            raise ValueError(f"the endpoint is no absolute URL with ws, wss, http or https: {endpoint!r:.80}")
        labels = dict(labels or {})
        room_types = sorted(set(room_types), key=units)
        if len(labels) > 32 or len(room_types) > 256:
            raise ValueError("there are at most 32 labels and 256 types of rooms")
        self._key, self._room_types = key, room_types
        self._about = {
            "name": _bounded("name", name, 64),
            "processUid": "p_" + secrets.token_hex(12),
            "agentVersion": agent_version,
            "protocolVersion": VERSION,
            "endpointUrl": _bounded("endpoint", endpoint, 512),
            "labels": {_bounded("label", k, 64): _bounded("label", v, 64) for k, v in labels.items()},
            "capacity": {"maxConnections": _whole("max_connections", max_connections, 2**31 - 1),
                         "maxRooms": _whole("max_rooms", max_rooms, 2**31 - 1)},
            "autoCreate": auto_create,
            "roomTypes": [_bounded("room type", kind, 64) for kind in room_types],
        }
        self._connect_timeout, self._hello_timeout, self._silence = connect_timeout, hello_timeout, silence
        self._tell = tell or (lambda event, data: None)
        self._make, self._end = make or (lambda room_id, kind: None), end or (lambda room_id: None)
        self._rooms: dict[str, dict] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self._status = "active"
        self._current: tuple[dict, str] | None = None  # the value of the snapshot and its hash, as long as nothing changes
        self._turns: list[dict] = []  # drains and undrains of the host of which the orchestrator has not taken note
        self._task: asyncio.Task | None = None
        self._stopped = self._ever_greeted = self._greeted = self._warned = False
        self._failure: str | None = None  # why it gave up
        self._protocol = self._writer = None

    # What the host does.

    @property
    def rooms(self) -> list[dict]:
        return [dict(self._rooms[room_id]) for room_id in sorted(self._rooms, key=units)]

    def make_room(self, room_id: str, kind: str, origin: str = "local") -> None:
        if room_id in self._rooms or len(self._rooms) >= 50000:
            raise ValueError("room id already exists" if room_id in self._rooms else "there are 50000 rooms")
        self._rooms[_bounded("room id", room_id, 256)] = {
            "id": room_id, "type": _bounded("room type", kind, 64), "connections": 0, "origin": origin}
        self._changed()

    def end_room(self, room_id: str) -> bool:
        gone = self._rooms.pop(room_id, None)
        self._changed()
        return gone is not None

    def set_connections(self, room_id: str, connections: int) -> None:
        self._rooms[room_id]["connections"] = _whole("connections", connections, 1000000) or 0
        self._changed()

    def drain(self) -> asyncio.Future:
        """Drains at once; the future is done when the orchestrator has taken note, and fails if the connection ends before."""
        return self._turn("draining")

    def undrain(self) -> asyncio.Future:
        return self._turn("active")

    def _turn(self, status: str) -> asyncio.Future:
        self._set_status(status)
        future = asyncio.get_running_loop().create_future()
        self._turns.append({"status": status, "said": False, "future": future})
        if self._stopped or self._task and self._task.done():
            self._fail_turns("the agent is stopped")
        return future

    def _fail_turns(self, why: str) -> None:
        for turn in self._turns:
            if not turn["future"].done():
                turn["future"].set_exception(ConnectionError(why))
        self._turns = []

    def _set_status(self, status: str) -> None:
        self._status = status
        self._changed()

    def _changed(self) -> None:
        self._current = None
        self._empty.clear() if self._rooms else self._empty.set()

    # Its life.

    def start(self) -> asyncio.Task:
        """Begins to dial. The task is done when the agent has ended."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        return self._task

    async def stop(self) -> None:
        self._stopped = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._fail_turns("the agent is stopped")

    async def shutdown(self, patience: float = 60.0) -> None:
        """Drains, waits until there are no rooms, and stops."""
        self._set_status("draining")
        try:
            await asyncio.wait_for(self._empty.wait(), patience)
        except asyncio.TimeoutError:
            self._tell("warning", {"message": f"stopped with {len(self._rooms)} rooms"})
        await self.stop()

    async def _run(self) -> None:
        error = timer = None
        try:
            if self._connect_timeout is not None:
                timer = asyncio.get_running_loop().call_later(self._connect_timeout, self._give_up)
            await self._dial_on()
        except (asyncio.CancelledError, OtherVersion):  # the first by `stop` or `_give_up`
            pass
        except Exception as found:
            error = f"{type(found).__name__}: {found}"
        finally:
            if timer:
                timer.cancel()
            self._fail_turns("the agent is stopped")
        if error and not self._stopped:
            self._fail(error)
        self._tell("ended", {"error": self._failure} if self._failure else {})

    def _fail(self, why: str) -> None:
        """The owner hears why at once, and not when the orchestrator has answered a close frame."""
        self._failure = why
        self._tell("error", {"message": why})

    @property
    def _over(self) -> bool:
        """Looked at beside the cancellation, which `asyncio.wait_for` may swallow before Python 3.12."""
        return self._stopped or self._failure is not None

    def _give_up(self) -> None:
        if not self._ever_greeted and not self._over:
            self._fail(f"no Hello within {self._connect_timeout} s")
            self._task.cancel()

    async def _dial_on(self) -> None:
        redials = 0
        while not self._over:
            self._greeted = False
            try:
                await self._connect()
            except (Ended, OSError, asyncio.TimeoutError) as found:
                self._tell("error", {"message": str(found) or "the dial took too long"})
            if self._greeted:
                redials = 0
            await asyncio.sleep(random.uniform(0, min(30.0, 0.5 * 2 ** min(redials, 10))))
            redials += 1

    async def _connect(self) -> None:
        """One dial, and the connection that comes of it, until it ends."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._hello_timeout
        dial = asyncio.open_connection(self._uri.host, self._uri.port, ssl=True if self._uri.secure else None)
        reader, writer = await asyncio.wait_for(dial, self._hello_timeout)
        self._writer, self._seq, self._parts = writer, 0, []
        self._patience = self._silence
        self._protocol = protocol = ClientProtocol(
            self._uri, subprotocols=[self._key, SENTINEL], max_size=LONGEST_MESSAGE)
        opened = False
        try:
            request = protocol.connect()
            request.path = self._target
            protocol.send_request(request)
            while not self._over:
                events = protocol.events_received()
                opened = opened or protocol.state is OPEN
                for event in events:
                    if self._event(event):
                        deadline = loop.time() + self._patience
                self._flush()
                if broken := protocol.handshake_exc or protocol.parser_exc:
                    raise Ended(f"{type(broken).__name__}: {broken}".replace(self._key, "(key)"))
                if protocol.close_rcvd or reader.at_eof():
                    raise Ended(f"closed with {protocol.close_rcvd or 'no close frame'}")
                try:
                    data = await asyncio.wait_for(self._more(reader), deadline - loop.time())
                except asyncio.TimeoutError:
                    raise Ended("nothing was heard any more" if self._greeted else "no Hello came") from None
                protocol.receive_data(data) if data else protocol.receive_eof()
        finally:
            try:
                if protocol.state is OPEN:
                    await self._leave(reader)
            finally:
                writer.close()
                if opened:
                    self._fail_turns("the connection ended")

    async def _more(self, reader: asyncio.StreamReader) -> bytes:
        await self._writer.drain()
        return await reader.read(65536)

    def _flush(self) -> None:
        self._writer.write(b"".join(self._protocol.data_to_send()))

    async def _leave(self, reader: asyncio.StreamReader) -> None:
        """A close frame, and a second for the orchestrator to close: a socket that is closed unread may lose the frame."""
        self._protocol.send_close(1000)
        self._flush()

        async def rest():
            while await reader.read(65536):
                pass
        try:
            await asyncio.wait_for(rest(), 1)
        except (OSError, asyncio.TimeoutError):
            pass

    # What comes from the orchestrator.

    def _event(self, event) -> bool:
        """Takes what came, and says whether it shows that the orchestrator is alive. The library answers pings."""
        opcode = getattr(event, "opcode", None)
        if opcode is Opcode.PING:
            return self._greeted
        if opcode in (Opcode.BINARY, Opcode.TEXT, Opcode.CONT):
            if opcode is not Opcode.CONT:
                self._binary = opcode is Opcode.BINARY
            self._parts.append(bytes(event.data))
            if event.fin:
                message, self._parts = b"".join(self._parts), []
                if self._binary:
                    try:
                        return self._message(*decode_outer(message))
                    except Malformed:
                        pass  # dropped
        return False

    def _message(self, topic: str | None, payload: bytes | None) -> bool:
        if payload is None:
            return False
        if topic == "fleet/hello" and not self._greeted:
            return self._hello(payload)
        if topic == "fleet/poll":
            self._poll(decode("poll", payload))
            return self._greeted
        if topic == "fleet/cmd":
            self._send("ack", self._execute(decode("cmd", payload)))
        return False

    def _hello(self, payload: bytes) -> bool:
        if len(payload) >= 2 and payload[0] != VERSION:
            self._refuse(payload[0])
        hello = decode("hello", payload)
        if "protocolVersion" not in hello:
            return False
        if hello["protocolVersion"] != VERSION:
            self._refuse(hello["protocolVersion"])
        self._greeted = self._ever_greeted = True
        self._patience = max(self._silence, 3.5 * hello.get("heartbeatMs", 0) / 1000)
        self._tell("hello", {"instanceId": hello.get("instanceId", ""), "heartbeatMs": hello.get("heartbeatMs", 0)})
        return True

    def _refuse(self, version: int) -> None:
        self._fail(f"the orchestrator speaks version {version}, not {VERSION}")
        raise OtherVersion

    def _poll(self, poll: dict) -> None:
        for turn in [turn for turn in self._turns if turn["said"] and turn["status"] == poll.get("status", "active")]:
            self._turns.remove(turn)
            if not turn["future"].done():
                turn["future"].set_result(None)
        if self._current is None:
            value = {**self._about, "rooms": self.rooms, "status": self._status}
            self._current = value, hash_of(value)
        value, digest = self._current
        self._seq += 1
        state = {"reqId": poll.get("reqId", ""), "full": poll.get("knownHash") != digest, "seq": self._seq, "hash": digest}
        if state["full"]:
            state.update(value, labels=[{"key": k, "value": v} for k, v in value["labels"].items()],
                         capacity={k: v for k, v in value["capacity"].items() if v is not None})
        self._send("state", state)
        for turn in self._turns:
            turn["said"] = turn["said"] or turn["status"] == self._status

    def _execute(self, cmd: dict) -> dict:
        ack = {"cmdId": cmd.get("cmdId", ""), "ok": False}
        op, room_id, kind = cmd.get("op", ""), cmd.get("roomId", ""), cmd.get("roomType", "")
        most = self._about["capacity"]["maxRooms"]
        if op in ("drain", "undrain"):
            self._set_status("draining" if op == "drain" else "active")
            return {**ack, "ok": True}
        try:
            if op == "create":
                room_id = room_id or "r_" + secrets.token_hex(8)
                if room_id in self._rooms:
                    return {**ack, "error": "room id already exists", "exists": True}
                if not self._about["autoCreate"]:
                    return {**ack, "error": "this agent makes no rooms"}
                if kind not in self._room_types:
                    return {**ack, "error": "unknown room type" if kind else "no room type"}
                if most is not None and len(self._rooms) >= most:
                    return {**ack, "error": f"there are {most} rooms already"}
                self._make(_bounded("room id", room_id, 256), kind)
                self.make_room(room_id, kind, "fleet")
                return {**ack, "ok": True, "room": {"id": room_id, "type": kind}}
            if op == "destroy" and room_id:
                if room_id not in self._rooms:
                    return {**ack, "ok": True, "alreadyGone": True}
                self._end(room_id)
                self.end_room(room_id)
                return {**ack, "ok": True}
        except Exception as found:  # of the host
            return {**ack, "error": str(found) or type(found).__name__}
        return {**ack, "error": "no room id" if op == "destroy" else "unknown op"}

    def _send(self, kind: str, document: dict) -> None:
        if self._protocol.state is not OPEN:
            return
        frame = encode_outer(f"fleet/{kind}", encode(kind, document))
        if len(frame) > 0.9 * LONGEST_MESSAGE and not self._warned:
            self._warned = True
            self._tell("warning", {"message": f"a {kind} has {len(frame)} bytes, and {LONGEST_MESSAGE} are the most"})
        self._protocol.send_binary(frame)


async def main(arguments: argparse.Namespace) -> int:
    def tell(event: str, data: dict) -> None:
        print(event, json.dumps(data), file=sys.stderr, flush=True)

    agent = Agent(
        arguments.url, arguments.key, arguments.name, arguments.endpoint, room_types=arguments.room_type,
        labels=dict(label.split("=", 1) for label in arguments.label), max_connections=arguments.max_connections,
        max_rooms=arguments.max_rooms, auto_create=not arguments.no_auto_create, connect_timeout=arguments.connect_timeout,
        hello_timeout=arguments.hello_timeout, silence=arguments.silence, tell=tell)
    life, ends = agent.start(), []

    def end() -> None:  # the second signal waits for no rooms
        ends.append(asyncio.ensure_future(agent.stop() if ends else agent.shutdown(arguments.grace)))

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)
    await life
    return 0 if ends else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An agent of the protocol fleet, until it gets SIGTERM or SIGINT.")
    parser.add_argument("--url", required=True, help="of the orchestrator, ws or wss")
    parser.add_argument("--key", default=os.environ.get("FLEET_KEY", ""), help="for agents; FLEET_KEY if absent")
    parser.add_argument("--name", required=True)
    parser.add_argument("--endpoint", required=True, help="where end users reach the rooms")
    parser.add_argument("--room-type", action="append", default=[], help="may be repeated")
    parser.add_argument("--label", action="append", default=[], help="key=value; may be repeated")
    parser.add_argument("--max-connections", type=int)
    parser.add_argument("--max-rooms", type=int)
    parser.add_argument("--no-auto-create", action="store_true")
    parser.add_argument("--connect-timeout", type=float, help="seconds until the first Hello; absent: without a bound")
    parser.add_argument("--hello-timeout", type=float, default=60.0)
    parser.add_argument("--silence", type=float, default=120.0)
    parser.add_argument("--grace", type=float, default=60.0, help="seconds for the rooms to end")
    try:
        sys.exit(asyncio.run(main(parser.parse_args())))
    except (ValueError, WebSocketException) as found:
        sys.exit(f"agent: {found}")
