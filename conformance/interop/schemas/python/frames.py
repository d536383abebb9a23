"""The public library for Protocol Buffers, with spec/fleet.proto, reads and writes the frames of fixtures/fleet as they say."""

import json
import sys
import tempfile
from pathlib import Path

from files import ROOT, finish
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.message import DecodeError
from grpc_tools import protoc

# What that library does otherwise than the document says: bytes that are no UTF-8 are an error to it.
OTHERWISE = {"no-utf-8"}
TYPES = {"fleet/hello": "Hello", "fleet/poll": "Poll", "fleet/state": "State", "fleet/cmd": "Cmd", "fleet/ack": "Ack"}


def messages() -> dict[str, type]:
    """The message types of spec/fleet.proto by topic."""
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "fleet.pb"
        if protoc.main(["protoc", f"-I{ROOT / 'spec'}", f"--descriptor_set_out={out}", "fleet.proto"]):
            sys.exit("spec/fleet.proto does not compile")
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    named = {topic: pool.FindMessageTypeByName(f"wireproof.fleet.{name}") for topic, name in TYPES.items()}
    return {topic: message_factory.GetMessageClass(descriptor) for topic, descriptor in named.items()}


def varint(number: int) -> bytes:
    """A varint of an outer frame."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def outer(topic: str, payload: bytes) -> bytes:
    """The outer frame."""
    return b"\x0a" + varint(len(topic.encode())) + topic.encode() + b"\x12" + varint(len(payload)) + payload


types = messages()
wrong: list[str] = []
read = written = refused = 0
for vector in json.loads((ROOT / "fixtures/fleet/frames.json").read_text("utf-8")):
    name, topic = vector["name"], vector.get("topic")
    if topic is None:
        continue
    inner = bytes.fromhex(vector["payload"])
    if vector.get("malformed"):
        # What is wrong with a header is nothing that the library sees.
        if inner[:2] != b"\x03\x00":
            continue
        try:
            types[topic].FromString(inner[2:])
            wrong.append(f"{name}: read, though it has {vector['why']}")
        except DecodeError:
            refused += 1
        continue
    # What is lacking is no part of what the library shows.
    if name in OTHERWISE or "lacks" in vector:
        continue
    document = json_format.ParseDict(vector["document"], types[topic]())
    message = types[topic].FromString(inner[2:])
    message.DiscardUnknownFields()
    read += 1
    if message != document or json_format.MessageToDict(message) != vector["document"]:
        wrong.append(f"{name}: read as {message}")
    if "writtenOtherwise" not in vector:
        written += 1
        body = document.SerializeToString(deterministic=True)
        if outer(topic, b"\x03\x00" + body).hex() != vector["frame"]:
            wrong.append(f"{name}: written as {body.hex()}")

finish(wrong, {"frames read by protobuf": read, "written": written, "refused": refused})
