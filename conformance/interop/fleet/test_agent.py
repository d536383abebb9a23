"""The codec and the hash against the fixtures and the document; the agent against a scripted orchestrator.

What the agent sends is judged by schemas/fleet as well. requirements-test.txt has what is needed; `./python` has it.
"""

import asyncio
import contextlib
import json
import re
import signal
import sys
import unittest
from pathlib import Path
from unittest import mock

import jsonschema
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from agent import SENTINEL, Agent
from codec import Malformed, canonical, decode, decode_outer, encode, encode_outer, hash_of

ROOT = Path(__file__).parents[3]
FRAMES = json.loads((ROOT / "fixtures/fleet/frames.json").read_text())
DOCUMENT = (ROOT / "spec/fleet.md").read_text()
KEY = "the-agent-key"
DEADLINE = 10  # seconds, for whatever has to come


def judge(kind: str, document: dict) -> None:
    schema = json.loads((ROOT / f"schemas/fleet/{kind}.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)


class Codec(unittest.TestCase):
    def test_frames(self):
        for case in FRAMES:
            with self.subTest(case["name"]):
                frame = bytes.fromhex(case["frame"])
                if case.get("malformed") == "outer":
                    self.assertRaises(Malformed, decode_outer, frame)
                    continue
                topic, payload = decode_outer(frame)
                if "incomplete" in case:
                    self.assertIn(None, (topic, payload))
                    continue
                self.assertEqual((topic, payload.hex()), (case["topic"], case["payload"]))
                kind = topic.removeprefix("fleet/")
                if "malformed" in case:
                    self.assertRaises(Malformed, decode, kind, payload)
                    continue
                found, document = decode(kind, payload), case["document"]
                if "lacks" in case:
                    for room in found.get("rooms", []):
                        room.setdefault("origin", "local")
                    found = {**{"poll": {"status": "active"}, "ack": {"ok": False}}.get(kind, {}), **found}
                self.assertEqual(found, document)
                if "lacks" not in case and "writtenOtherwise" not in case:
                    self.assertEqual(encode_outer(topic, encode(kind, document)), frame)

    def test_frames_of_the_document(self):
        rows = re.findall(r"^\| (\w+)[:,].*\| `([0-9a-f]+)` \| `([0-9a-f]+)` \|$", DOCUMENT, re.M)
        self.assertEqual(len(rows), 11)
        for kind, inner, outer in rows:
            topic, payload = decode_outer(bytes.fromhex(outer + inner))
            self.assertEqual((topic, payload.hex()), ("fleet/" + kind.lower(), inner))
            again = encode_outer(topic, encode(kind.lower(), decode(kind.lower(), payload)))
            self.assertEqual(again.hex(), outer + inner)

    def test_deep_groups(self):
        with self.assertRaises(Malformed):
            decode("poll", b"\x03\x00" + b"\x0b" * 100000)

    def test_hashes_of_the_document(self):
        rows = re.findall(r"^\| `(.*)` \| `([0-9a-f]{16})` \|$", DOCUMENT, re.M)
        rows += [(text, digest) for digest, text in re.findall(r"has the hash `(\w+)`:\n\n    (\{.*)\n", DOCUMENT)]
        self.assertEqual(len(rows), 8)
        for text, digest in rows:
            self.assertEqual((canonical(json.loads(text)), hash_of(json.loads(text))), (text, digest))

    def test_canonical_json(self):
        for value, text in (
            (1e20, "100000000000000000000"), (1e21, "1e+21"), (1.5e-7, "1.5e-7"), (1e-6, "0.000001"), (123.456, "123.456"),
            (-0.0, "0"), (-12.5, "-12.5"), (float("nan"), "null"), (1e300, "1e+300"), (10**400, "null"),
            ("\x00\x1f\b\t\n\f\r\"\\/\x7f\u2028", '"\\u0000\\u001f\\b\\t\\n\\f\\r\\"\\\\/\x7f\u2028"'),
            ("\ud800 \ud83d\ude00", '"\\ud800 \U0001f600"'),
            ({"\uffff": 1, "\U00010000": 2}, '{"\U00010000":2,"\uffff":1}'),
        ):
            self.assertEqual(canonical(value), text)


class Peer:
    """The orchestrator's end of one connection."""

    def __init__(self, ws):
        self.ws, self.reqs, self.cmds, self.open = ws, 0, 0, asyncio.Event()

    async def send(self, kind: str, document: dict, inner=lambda payload: payload) -> None:
        await self.ws.send(encode_outer(f"fleet/{kind}", inner(encode(kind, document))))

    async def read(self, kind: str) -> dict:
        topic, payload = decode_outer(await asyncio.wait_for(self.ws.recv(), DEADLINE))
        assert topic == f"fleet/{kind}", topic
        document = decode(kind, payload)
        judge(kind, document)
        return document

    async def hello(self, heartbeat: int = 5000, version: int = 3) -> None:
        await self.send("hello", {"instanceId": "i-1", "protocolVersion": version, "heartbeatMs": heartbeat})

    async def poll(self, known: str | None = None, status: str = "active") -> dict:
        self.reqs += 1
        request = {"reqId": f"q{self.reqs}", "knownHash": known, "status": status}
        await self.send("poll", {k: v for k, v in request.items() if v is not None})
        state = await self.read("state")
        assert state["reqId"] == f"q{self.reqs}"
        if state["full"]:
            value = {k: v for k, v in state.items() if k not in ("reqId", "full", "seq", "hash")}
            value["labels"] = {label["key"]: label["value"] for label in state.get("labels", [])}
            value["capacity"] = {"maxConnections": None, "maxRooms": None, **state["capacity"]}
            value = {"rooms": [], "roomTypes": [], **value}
            assert hash_of(value) == state["hash"]
        return state

    async def cmd(self, op: str, room: str | None = None, kind: str | None = None) -> dict:
        self.cmds += 1
        fields = {"cmdId": f"c{self.cmds}", "op": op, "roomId": room, "roomType": kind}
        await self.send("cmd", {k: v for k, v in fields.items() if v is not None})
        ack = await self.read("ack")
        assert ack["cmdId"] == f"c{self.cmds}"
        return ack

    async def quiet(self, seconds: float = 0.15) -> None:
        try:
            found = await asyncio.wait_for(self.ws.recv(), seconds)
        except asyncio.TimeoutError:
            return
        raise AssertionError(f"nothing was expected, and {found!r} came")


class Conversation(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.peers, self.told, self.handshakes, self.answers = asyncio.Queue(), [], [], []
        self.news = asyncio.Event()

        async def handler(ws):
            peer = Peer(ws)
            await self.peers.put(peer)
            await ws.wait_closed()

        def handshake(ws, request):
            self.handshakes.append(request)
            self.news.set()
            return ws.respond(self.answers.pop(0), "") if self.answers else None

        self.select = lambda ws, offered: SENTINEL
        self.server = await serve(handler, "127.0.0.1", 0, subprotocols=[SENTINEL], process_request=handshake, compression=None,
                                  select_subprotocol=lambda ws, offered: self.select(ws, offered), ping_interval=None)
        self.addAsyncCleanup(self.close)
        self.url = f"ws://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        self.agents = []

    async def close(self):
        for agent in self.agents:
            await agent.stop()
        self.server.close()
        await self.server.wait_closed()

    def tell(self, event: str, data: dict) -> None:
        self.told.append((event, data))
        self.news.set()

    async def until(self, holds) -> None:
        """Waits until what was told, or a handshake, makes it true."""
        async def wait():
            while not holds():
                self.news.clear()
                await self.news.wait()
        await asyncio.wait_for(wait(), DEADLINE)

    def agent(self, path: str = "", **options) -> Agent:
        options = {"room_types": ["match", "lobby"], "tell": self.tell, **options}
        agent = Agent(self.url + path, KEY, "n", "ws://h", **options)
        self.agents.append(agent)
        agent.start()
        return agent

    async def peer(self, hello: bool = True) -> Peer:
        peer = await asyncio.wait_for(self.peers.get(), DEADLINE)
        if hello:
            await peer.hello()
        return peer

    def events(self, event: str) -> list:
        return [data for name, data in self.told if name == event]

    async def test_handshake(self):
        self.agent("?a=b;c&d=%20", labels={"z": "1", "a": "2"})
        peer = await self.peer()
        request = self.handshakes[0]
        self.assertEqual(request.path, "/?a=b;c&d=%20")
        self.assertEqual(request.headers["Sec-WebSocket-Protocol"], f"{KEY}, {SENTINEL}")
        self.assertNotIn(KEY, "".join(v for k, v in request.headers.raw_items() if k.lower() != "sec-websocket-protocol"))
        await peer.quiet()
        pong = await peer.ws.ping(b"content")
        await asyncio.wait_for(pong, DEADLINE)
        self.assertEqual(self.events("hello"), [{"instanceId": "i-1", "heartbeatMs": 5000}])

    async def test_the_key_is_selected(self):
        self.select = lambda ws, offered: KEY
        self.agent()
        self.assertTrue((await (await self.peer()).poll())["full"])

    async def test_report(self):
        agent = self.agent(labels={"z": "1", "a\"\n\U0001f600": "2"}, max_connections=0)
        peer = await self.peer()
        first = await peer.poll()
        self.assertEqual((first["seq"], first["capacity"], first["autoCreate"]), (1, {"maxConnections": 0}, True))
        self.assertEqual(first["roomTypes"], ["lobby", "match"])
        self.assertRegex(first["processUid"], "^p_[0-9a-f]{24}$")
        again = await peer.poll(first["hash"])
        self.assertEqual(again, {"reqId": "q2", "full": False, "seq": 2, "hash": first["hash"]})
        self.assertTrue((await peer.poll(""))["full"])
        for room in ("\uffff", "\U00010000", "b"):
            agent.make_room(room, "match")
        agent.set_connections("b", 7)
        await peer.quiet()
        state = await peer.poll(first["hash"])
        self.assertEqual([room["id"] for room in state["rooms"]], ["b", "\U00010000", "\uffff"])
        self.assertEqual(state["rooms"][0], {"id": "b", "type": "match", "connections": 7, "origin": "local"})
        for room in ("\uffff", "\U00010000", "b"):
            agent.end_room(room)
        self.assertEqual((await peer.poll())["hash"], first["hash"])
        await peer.ws.close(4003)
        peer = await self.peer()
        later = await peer.poll()
        self.assertEqual((later["seq"], later["hash"], later["processUid"]), (1, first["hash"], first["processUid"]))

    async def test_what_is_passed_over(self):
        self.agent()
        peer = await self.peer()
        for frame in ("{}", b"", b"\x0a\x7f", encode_outer("fleet/other", b"\x03\x00"), encode_outer("fleet/poll", b"\x02\x00"),
                      encode_outer("fleet/poll", b"\x03\x00\x0a\x09"), encode_outer("fleet/cmd", b"{"),
                      encode_outer("fleet/state", encode("state", {"reqId": "x"}))):
            await peer.ws.send(frame)
        self.assertEqual((await peer.poll())["seq"], 1)
        unknown = b"\x98\x06\x07\x99\x06" + bytes(8) + b"\x85\x01" + bytes(4)
        for inner in (lambda payload: b"\x03\x09" + payload[2:], lambda payload: payload + unknown):
            await peer.send("poll", {"reqId": "\x00\U0001f600", "status": "draining"}, inner)
            self.assertEqual((await peer.read("state"))["reqId"], "\x00\U0001f600")
        whole = encode_outer("fleet/poll", encode("poll", {"reqId": "cut", "status": "active"}))

        async def pieces():
            for at in range(0, len(whole), 5):
                yield whole[at:at + 5]
        await peer.ws.send(pieces())
        self.assertEqual((await peer.read("state"))["reqId"], "cut")

    async def test_execute(self):
        made = []
        agent = self.agent(max_rooms=2, make=lambda room, kind: made.append(room) if room != "bad" else 1 / 0)
        peer = await self.peer()
        before = await peer.poll()
        for op, room, kind in (("create", "x", "other"), ("create", "x", None), ("create", "bad", "match"),
                               ("create", "x" * 257, "match"), ("destroy", None, None), ("dance", None, None)):
            ack = await peer.cmd(op, room, kind)
            self.assertFalse(ack["ok"])
            self.assertTrue(ack["error"])
            self.assertNotIn("exists", ack)
        self.assertEqual((await peer.poll())["hash"], before["hash"])
        self.assertEqual((await peer.cmd("create", "x", "match"))["room"], {"id": "x", "type": "match"})
        agent.make_room("y", "lobby")
        self.assertTrue((await peer.cmd("create", "x", "match"))["exists"])
        self.assertNotIn("exists", await peer.cmd("create", "z", "match"))
        self.assertEqual([(r["id"], r["origin"]) for r in (await peer.poll())["rooms"]], [("x", "fleet"), ("y", "local")])
        self.assertEqual(await peer.cmd("destroy", "x"), {"cmdId": "c10", "ok": True})
        self.assertEqual(await peer.cmd("destroy", "x"), {"cmdId": "c11", "ok": True, "alreadyGone": True})
        self.assertTrue((await peer.cmd("create", None, "match"))["room"]["id"])
        self.assertEqual(len(made), 2)
        for op, status in (("drain", "draining"), ("drain", "draining"), ("undrain", "active")):
            self.assertTrue((await peer.cmd(op))["ok"])
            self.assertEqual((await peer.poll())["status"], status)

    async def test_without_auto_create(self):
        self.agent(auto_create=False)
        peer = await self.peer()
        self.assertFalse((await peer.poll())["autoCreate"])
        self.assertTrue((await peer.cmd("create", "x", "match"))["error"])

    async def test_many_at_once(self):
        self.agent()
        peer = await self.peer()
        for i in range(32):
            await peer.send("cmd", {"cmdId": f"m{i}", "op": "create", "roomId": f"r{i}", "roomType": "match"})
            await peer.send("poll", {"reqId": f"p{i}", "status": "active"})
        for i in range(32):
            self.assertEqual((await peer.read("ack"))["cmdId"], f"m{i}")
            state = await peer.read("state")
            self.assertEqual((state["reqId"], len(state["rooms"])), (f"p{i}", i + 1))

    async def test_drain(self):
        agent = self.agent()
        peer = await self.peer()
        digest = (await peer.poll())["hash"]
        drained = agent.drain()
        await peer.quiet()
        self.assertEqual((await peer.poll(digest))["status"], "draining")
        self.assertFalse(drained.done())
        await peer.poll()
        self.assertFalse(drained.done())
        await peer.poll(status="draining")
        self.assertIsNone(drained.result())
        undrained = agent.undrain()
        await peer.poll(status="draining")
        self.assertFalse(undrained.done())
        await peer.poll()
        self.assertTrue(undrained.done())
        agent.drain().cancel()
        undrained = agent.undrain()
        await peer.poll()
        self.assertFalse(undrained.done())
        await peer.poll()
        self.assertTrue(undrained.done())
        drained = agent.drain()
        await peer.ws.close(4003)
        with self.assertRaises(ConnectionError):
            await drained
        self.assertEqual((await (await self.peer()).poll())["status"], "draining")

    async def test_redial(self):
        drawn = []

        def uniform(low, high):
            drawn.append((low, high))
            return 0.001
        with mock.patch("agent.random.uniform", uniform):
            self.answers = [401, 403, 503]
            self.agent()
            for code in (1000, 4001, 4003, 4005):
                peer = await self.peer(hello=False)
                await peer.ws.close(code)
            peer = await self.peer()
            await peer.poll()
            peer.ws.transport.abort()
            peer = await self.peer()
            with contextlib.suppress(ConnectionClosed):
                await peer.ws.send(b"\xff" * 5000000)  # longer than any message may be
            peer = await self.peer()
            peer.ws.transport.write(b"\xff\xff")  # no frame of WebSocket
            peer = await self.peer()
            peer.ws.transport.write(b"\x88\x03\x0f\xa3\xff")  # a reason that is no UTF-8
            await self.peer()
        bounds = [0.5, 1, 2, 4, 8, 16, 30, 0.5, 0.5, 0.5, 0.5]
        self.assertEqual(drawn, [(0, high) for high in bounds])

    async def test_refused(self):
        port = self.server.sockets[0].getsockname()[1]
        self.server.close()
        await self.server.wait_closed()
        with mock.patch("agent.random.uniform", lambda low, high: 0.02):
            self.agent()
            await self.until(lambda: len(self.events("error")) >= 2)
            self.server = await serve(self.server.handler, "127.0.0.1", port, subprotocols=[SENTINEL])
            await (await self.peer()).poll()

    async def test_other_version(self):
        for payload in (b"{}", b"\x02\x00", encode("hello", {"instanceId": "i", "protocolVersion": 4, "heartbeatMs": 1})):
            agent = self.agent()
            peer = await self.peer(hello=False)
            await peer.ws.send(encode_outer("fleet/hello", payload))
            await asyncio.wait_for(agent.start(), DEADLINE)
            with self.assertRaises(ConnectionClosed):
                await peer.ws.recv()
        self.assertEqual((len(self.handshakes), len(self.events("error")), len(self.events("ended"))), (3, 3, 3))

    async def test_hello_cut_off(self):
        self.agent()
        peer = await self.peer(hello=False)
        await peer.ws.send(encode_outer("fleet/hello", b"\x03\x00\x0a\x09i"))
        await peer.hello()
        await peer.poll()

    async def test_patience(self):
        with mock.patch("agent.random.uniform", lambda low, high: 0.001):
            agent = self.agent(hello_timeout=0.2, connect_timeout=0.5)
            for _ in range(3):
                await self.peer(hello=False)
            await asyncio.wait_for(agent.start(), DEADLINE)
            self.assertIn("no Hello", self.events("ended")[0]["error"])
            self.agent(silence=0.2)
            peer = await self.peer(hello=False)
            await peer.hello(heartbeat=100)  # 3.5 times H are more than the 0.2 s
            now = asyncio.get_running_loop().time
            begun = pinged = now()
            while pinged < begun + 0.7:
                pinged = now()
                await asyncio.wait_for(await peer.ws.ping(), DEADLINE)
            await asyncio.wait_for(peer.ws.wait_closed(), DEADLINE)
            self.assertGreaterEqual(now() - pinged, 0.35)
            await (await self.peer()).poll()

    async def test_stop(self):
        agent = self.agent()
        peer = await self.peer()
        await peer.poll()
        drained = agent.drain()
        await agent.stop()
        await asyncio.wait_for(peer.ws.wait_closed(), DEADLINE)
        self.assertEqual(peer.ws.close_code, 1000)
        self.assertIsInstance(drained.exception(), ConnectionError)
        self.answers = [503] * 20
        with mock.patch("agent.random.uniform", lambda low, high: 0):
            agent = self.agent()
            await self.until(lambda: len(self.handshakes) >= 3)
            await agent.stop()
        self.assertTrue(agent.start().done())
        self.assertEqual(self.events("ended"), [{}, {}])

    async def test_bad_settings(self):
        for change in ({"key": ""}, {"key": SENTINEL}, {"key": "a b"}, {"name": "x" * 65}, {"endpoint": "javascript:1"},
                       {"endpoint": "/x"}, {"labels": {"k": "v" * 65}}, {"max_rooms": -1}, {"name": "\U0001f600" * 33}):
            settings = {"url": self.url, "key": KEY, "name": "n", "endpoint": "ws://h", **change}
            with self.assertRaises(ValueError):
                Agent(**settings)

    async def test_program(self):
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(Path(__file__).with_name("agent.py")), "--url", self.url, "--key", KEY, "--name", "n",
            "--endpoint", "ws://h", "--room-type", "match", "--label", "a=b", stderr=asyncio.subprocess.PIPE)
        try:
            peer = await self.peer()
            await peer.cmd("create", "x", "match")
            process.send_signal(signal.SIGTERM)

            async def draining():  # the signal comes when it comes
                while (state := await peer.poll())["status"] != "draining":
                    pass
                return state
            self.assertEqual(len((await asyncio.wait_for(draining(), DEADLINE))["rooms"]), 1)
            await peer.cmd("destroy", "x")
            _, errors = await asyncio.wait_for(process.communicate(), DEADLINE)
            self.assertEqual((process.returncode, len(self.handshakes)), (0, 1))
            self.assertNotIn(KEY, errors.decode())
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()


if __name__ == "__main__":
    unittest.main()
