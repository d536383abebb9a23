"""Agents that take a liberty which spec/fleet.md leaves them: whatever blames one of them is a mistake of the suite.

`./python liberties.py --suite WIREPROOF` runs the suite against each, and ends with 1 if one is blamed; with `--adapter NAME`
it is the adapter of one. Each class is an honest agent; its first line says what it does otherwise than `Agent`.
"""

import argparse
import asyncio
import os
import random
import socket
import struct
import subprocess
import sys

import adapter
from agent import OPEN, Agent, Ended, Opcode
from codec import Malformed, decode, decode_outer, encode, encode_outer

PROCESS = f"process {os.getpid()}"
PATIENCE = {"hello_timeout": 20, "silence": 25}  # seconds, as in client.toml


class OneUid(Agent):
    """All agents of one process have one processUid ("Report")."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self._about["processUid"] = PROCESS


class Terse(Agent):
    """No error where none is asked for ("Message")."""

    def _execute(self, cmd):
        ack = super()._execute(cmd)
        if cmd.get("op") != "create" or ack.get("exists"):
            ack.pop("error", None)
        return ack


class Wordy(Agent):
    """An Ack has every field, empty or false where it means nothing ("Message")."""

    def _execute(self, cmd):
        return {"error": "", "alreadyGone": False, "exists": False, **super()._execute(cmd)}


class Discreet(Agent):
    """Tells of no dial that failed, and of no connection that ended ("Dial")."""

    def __init__(self, *args, tell, **options):
        def some(event, data):
            if event != "error" or self._failure:
                tell(event, data)
        super().__init__(*args, tell=some, **options)


class Late(Agent):
    """Tells why it gave up 1.5 s later ("These words": within five seconds)."""

    def _fail(self, why):
        self._failure = why
        asyncio.get_running_loop().call_later(1.5, self._tell, "error", {"message": why})


class Pinging(Agent):
    """Sends pings, and pongs that nobody asked for, behind its first State ("Dial")."""

    _pings: asyncio.Task | None = None

    def _poll(self, poll):
        super()._poll(poll)
        if self._seq == 1:
            self._pings = asyncio.ensure_future(self._ping(self._protocol))

    async def _ping(self, protocol):
        while protocol is self._protocol and protocol.state is OPEN and not protocol.close_rcvd:
            protocol.send_ping(b"ping")
            protocol.send_pong(b"unasked")
            self._flush()
            await asyncio.sleep(0.05)


class Formal(Agent):
    """Passes over a Poll and a Cmd before the Hello (FLEET-DIAL-16)."""

    def _message(self, topic, payload):
        return super()._message(topic, payload) if self._greeted or topic == "fleet/hello" else False


class Renewed(Agent):
    """Takes a second Hello like the first ("Dial")."""

    def _message(self, topic, payload):
        if topic == "fleet/hello" and payload is not None and self._greeted:
            self._seq = 0
            return self._hello(payload)
        return super()._message(topic, payload)


class Strict(Agent):
    """Leaves a connection with a text frame or a malformed outer frame (FLEET-REPORT-16)."""

    def _event(self, event):
        opcode = getattr(event, "opcode", None)
        if opcode is Opcode.TEXT:
            raise Ended("a text frame")
        if opcode is Opcode.BINARY and event.fin:
            try:
                decode_outer(bytes(event.data))
            except Malformed as found:
                raise Ended(f"a malformed frame: {found}") from None
        return super()._event(event)


class Exact(Agent):
    """Leaves a connection whose Hello is cut off; one without protocolVersion is another version (FLEET-DIAL-10)."""

    def _hello(self, payload):
        try:
            if payload[:1] == b"\x03" and "protocolVersion" not in decode("hello", payload):
                self._refuse(0)
        except Malformed as found:
            raise Ended(f"a Hello that cannot be read: {found}") from None
        return super()._hello(payload)


class Selective(Agent):
    """A 101 without a protocol is a dial that failed (FLEET-DIAL-5)."""

    def _event(self, event):
        if self._protocol.state is OPEN and self._protocol.subprotocol is None:
            raise Ended("no protocol was selected")
        return super()._event(event)


class Impatient(Agent):
    """Calls fail at once between two connections and when overtaken, and complete at once if nothing is to do ("Drain")."""

    def _turn(self, status):
        same, before = self._status == status, list(self._turns)
        future = super()._turn(status)
        for turn in before:
            if turn["status"] != status:
                self._turns.remove(turn)
                turn["future"].set_exception(ConnectionError("overtaken"))
        if same and not before:
            self._turns.pop()
            future.set_result(None)
        if self._ever_greeted and not self._greeted:
            self._fail_turns("there is no connection")
        return future

    async def _connect(self):
        try:
            await super()._connect()
        finally:
            if self._ever_greeted:
                self._fail_turns("the dial failed")


class Remembering(Agent):
    """Passes over a Cmd with the cmdId of one before (FLEET-EXECUTE-21)."""

    _seen = (None, set())

    def _message(self, topic, payload):
        if topic == "fleet/cmd" and payload is not None:
            if self._seen[0] is not self._protocol:
                self._seen = (self._protocol, set())
            number = decode("cmd", payload).get("cmdId", "")
            if number in self._seen[1]:
                return False
            self._seen[1].add(number)
        return super()._message(topic, payload)


class Abrupt(Agent):
    """Stops without a close frame ("Dial": one, not always)."""

    async def _leave(self, reader):
        self._writer.close()


class Reset(Agent):
    """Stops with a reset."""

    async def _leave(self, reader):
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


class Wordless(Agent):
    """Its close frame has no code, and behind it ends its half of TCP ("Dial")."""

    async def _leave(self, reader):
        self._protocol.send_close()
        self._flush()
        self._writer.write_eof()
        await asyncio.wait([asyncio.ensure_future(reader.read())], timeout=1)


class Fragments(Agent):
    """Cuts its messages into frames (RFC 6455, section 5.4)."""

    def _send(self, kind, document):
        if self._protocol.state is not OPEN:
            return
        frame = encode_outer(f"fleet/{kind}", encode(kind, document))
        self._protocol.send_binary(frame[:7], fin=False)
        self._protocol.send_continuation(frame[7:-1], fin=False)
        self._protocol.send_continuation(frame[-1:], fin=True)


class Elaborate(Agent):
    """Its handshake has two lines of protocols, small letters, an extension, an origin and a user agent."""

    def _flush(self):
        data = b"".join(self._protocol.data_to_send())
        if data.startswith(b"GET "):
            first, *lines = data[:-4].split(b"\r\n")
            names = [line.split(b": ", 1) for line in lines]
            out = [(name.lower(), part) for name, value in names
                   for part in (value.split(b", ") if name.lower() == b"sec-websocket-protocol" else [value])]
            out += [(b"sec-websocket-extensions", b"permessage-deflate; client_max_window_bits"),
                    (b"origin", b"http://127.0.0.1"), (b"user-agent", b"liberty/1")]
            data = b"\r\n".join([first, *(name + b":" + value for name, value in out)]) + b"\r\n\r\n"
        self._writer.write(data)


class Slow(Agent):
    """Answers a tenth of a second later."""

    def _send(self, kind, document):
        def send(protocol=self._protocol):
            if protocol is self._protocol:
                Agent._send(self, kind, document)
                self._flush()
        asyncio.get_running_loop().call_later(0.1, send)


class Building(Agent):
    """Its rooms take time; Polls and other Cmds are answered meanwhile ("Execute")."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self._building = set()

    def _message(self, topic, payload):
        if topic != "fleet/cmd" or payload is None:
            return super()._message(topic, payload)
        cmd = decode("cmd", payload)
        room, most = cmd.get("roomId") or f"r{random.getrandbits(64):x}", self._about["capacity"]["maxRooms"]
        refusal = {"cmdId": cmd.get("cmdId", ""), "ok": False, "error": "another room is being built"}
        if cmd.get("op") != "create" or room in self._rooms or cmd.get("roomType", "") not in self._room_types:
            return super()._message(topic, payload)
        if room in self._building:
            self._send("ack", {**refusal, "exists": True})
        elif most is not None and len(self._rooms) + len(self._building) >= most:
            self._send("ack", refusal)
        else:
            self._building.add(room)

            def built(protocol=self._protocol):
                self._building.remove(room)
                ack = self._execute({**cmd, "roomId": room})
                if protocol is self._protocol:
                    self._send("ack", ack)
                    self._flush()
            asyncio.get_running_loop().call_later(0.15, built)
        return False


class Later(Agent):
    """Adds unknown fields to snapshots and Acks, as a later minor version may ("Message")."""

    def _send(self, kind, document):
        if self._protocol.state is OPEN:
            more = b"\x98\x06\x07\x99\x06" + bytes(8) + b"\x9a\x06\x02hi\x9d\x06" + bytes(4)
            payload = encode(kind, document) + (more if document.get("full", True) else b"")
            self._protocol.send_binary(encode_outer(f"fleet/{kind}", payload))


class Shuffled(Agent):
    """Tells its labels in any order ("Report" orders rooms and types alone)."""

    def __init__(self, *args, labels=None, **options):
        pairs = list((labels or {}).items())
        super().__init__(*args, labels=dict(random.sample(pairs, len(pairs))), **options)


class Otherwise(Agent):
    """Of several reasons tells that the id is taken last ("Execute")."""

    def _execute(self, cmd):
        most = self._about["capacity"]["maxRooms"]
        if cmd.get("op") == "create" and (
                cmd.get("roomType", "") not in self._room_types or most is not None and len(self._rooms) >= most):
            return {"cmdId": cmd.get("cmdId", ""), "ok": False, "error": "unknown type, or no place"}
        return super()._execute(cmd)


class LongIds(Agent):
    """Makes up ids that are long and have all kinds of characters ("Execute")."""

    def _execute(self, cmd):
        if cmd.get("op") == "create" and not cmd.get("roomId"):
            cmd = {**cmd, "roomId": "r\u00e4ume/\U0001f600 " * 20 + f"{random.getrandbits(64):x}"}
        return super()._execute(cmd)


class Ending(Agent):
    """Its process ends when it has been shut down (the ruling on FLEET-DRAIN-8)."""

    async def shutdown(self, patience=60.0):
        await super().shutdown(patience)
        os._exit(0)


LIBERTIES = {kind.__name__: kind for kind in Agent.__subclasses__()}


def judge(suite: str, names: list[str], more: list[str]) -> list[str]:
    """Runs the suite against each, and returns those that it blames."""
    blamed = []
    limits = [f"--limit={name.replace('_', '-')}-ms={seconds * 1000}" for name, seconds in PATIENCE.items()]
    for name in names:
        command = [sys.executable, __file__, "--adapter", name]
        run = subprocess.run(
            [suite, "run", "fleet", "--client", "--feature", "fleet.graceful-shutdown=on", *limits, *more, "--", *command],
            stdout=subprocess.PIPE, text=True, check=False)
        if run.returncode == 1:
            blamed.append(name)
            print(run.stdout)
        print(f"{name}: {run.stdout.splitlines()[0] if run.stdout else run.returncode}", flush=True)
    return blamed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Agents that take liberties, and the suite against each.")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--adapter", choices=LIBERTIES, help="be the adapter of this one")
    which.add_argument("--suite", help="the program wireproof")
    parser.add_argument("--only", choices=LIBERTIES, action="append", help="may be repeated; otherwise all")
    parser.add_argument("more", nargs="*", help="behind --: more arguments of wireproof, such as --tier fast")
    arguments = parser.parse_args()
    if arguments.adapter:
        asyncio.run(adapter.main(PATIENCE, LIBERTIES[arguments.adapter]))
    elif found := judge(arguments.suite, arguments.only or list(LIBERTIES), arguments.more):
        sys.exit(f"blamed: {', '.join(found)}")
