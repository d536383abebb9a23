"""The frames of the protocol fleet and its hash: "Frames", "Message" and "Hash" of spec/fleet.md."""

import hashlib
import json
import math
import re
from decimal import Decimal

VERSION = 3

# Of each message, by the number of the field: its name, its type, whether it is repeated. A type may be another message.
MESSAGES = {
    "hello": {1: ("instanceId", "string"), 2: ("protocolVersion", "uint32"), 3: ("heartbeatMs", "uint32")},
    "poll": {1: ("reqId", "string"), 2: ("knownHash", "string"), 3: ("status", "string")},
    "state": {
        1: ("reqId", "string"), 2: ("full", "bool"), 3: ("seq", "uint32"), 4: ("hash", "string"), 5: ("name", "string"),
        6: ("processUid", "string"), 7: ("agentVersion", "string"), 8: ("protocolVersion", "uint32"),
        9: ("endpointUrl", "string"), 10: ("labels", "label", True), 11: ("capacity", "capacity"),
        12: ("autoCreate", "bool"), 13: ("roomTypes", "string", True), 14: ("rooms", "room", True), 15: ("status", "string"),
    },
    "cmd": {1: ("cmdId", "string"), 2: ("op", "string"), 3: ("roomId", "string"), 4: ("roomType", "string")},
    "ack": {
        1: ("cmdId", "string"), 2: ("ok", "bool"), 3: ("error", "string"), 4: ("alreadyGone", "bool"), 5: ("room", "pair"),
        6: ("exists", "bool"),
    },
    "label": {1: ("key", "string"), 2: ("value", "string")},
    "capacity": {1: ("maxConnections", "int32"), 2: ("maxRooms", "int32")},
    "room": {1: ("id", "string"), 2: ("type", "string"), 3: ("connections", "uint32"), 4: ("origin", "string")},
    "pair": {1: ("id", "string"), 2: ("type", "string")},
}


class Malformed(ValueError):
    """Bytes that are no frame."""


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out) + bytes([number])


def _read_varint(data: bytes, at: int, longest: int) -> tuple[int, int]:
    number = 0
    for i in range(longest):
        if at + i >= len(data):
            raise Malformed("the end within a varint")
        number |= (data[at + i] & 127) << 7 * i
        if data[at + i] < 128:
            return number & (1 << 64) - 1, at + i + 1
    raise Malformed("a varint that is too long")


def _fields(data: bytes, at: int = 0, outer: bool = False):
    """The fields as (number, wire type, value). Groups are passed over with what is in them."""
    longest = 8 if outer else 10
    groups = []
    while at < len(data):
        key, at = _read_varint(data, at, longest)
        number, wire, value = key >> 3, key & 7, None
        if outer and wire not in (0, 2) or not outer and (number == 0 or wire > 5):
            raise Malformed(f"field {number} of the wire type {wire}")
        if wire == 0:
            value, at = _read_varint(data, at, longest)
        elif wire == 3:
            groups.append(number)
        elif wire == 4:
            if not groups or groups.pop() != number:
                raise Malformed("the end of a group that is not open")
        else:
            length = {1: 8, 5: 4}.get(wire)
            if length is None:
                length, at = _read_varint(data, at, longest)
            if at + length > len(data):
                raise Malformed("a length behind the end")
            value, at = data[at:at + length], at + length
        if value is not None and not groups:
            yield number, wire, value
    if groups:
        raise Malformed("a group without its end")


def decode_outer(message: bytes) -> tuple[str | None, bytes | None]:
    """Topic and payload; None for what is absent."""
    found = {number: value for number, wire, value in _fields(message, outer=True) if wire == 2}
    return found[1].decode("utf-8", "replace") if 1 in found else None, found.get(2)


def encode_outer(topic: str, payload: bytes) -> bytes:
    name = topic.encode()
    return b"\x0a" + _varint(len(name)) + name + b"\x12" + _varint(len(payload)) + payload


def _read_message(kind: str, data: bytes, at: int = 0) -> dict:
    found: dict = {}
    for number, wire, value in _fields(data, at):
        name, what, *repeated = MESSAGES[kind].get(number, (None, None))
        if name is None or wire != (0 if what in ("uint32", "int32", "bool") else 2):
            continue
        if what == "string":
            value = value.decode("utf-8", "replace")
        elif what == "bool":
            value = value != 0
        elif what == "uint32":
            value &= 0xFFFFFFFF
        elif what == "int32":
            value = (value + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        else:
            value = _read_message(what, value)
        if repeated:
            found.setdefault(name, []).append(value)
        else:
            found[name] = value
    return found


def decode(kind: str, payload: bytes) -> dict:
    """The fields that stand in an inner frame; who reads them knows what an absent one means."""
    if len(payload) < 2 or payload[0] != VERSION:
        raise Malformed("no header of this version")
    return _read_message(kind, payload, 2)


def _write_message(kind: str, document: dict) -> bytes:
    out = b""
    for number, (name, what, *repeated) in MESSAGES[kind].items():
        values = document.get(name, []) if repeated else [document[name]] if name in document else []
        parts = []
        for value in values:
            if what in ("uint32", "int32", "bool"):
                parts.append(_varint(number << 3) + _varint(int(value) & (1 << 64) - 1))
            else:
                data = value.encode() if what == "string" else _write_message(what, value)
                parts.append(_varint(number << 3 | 2) + _varint(len(data)) + data)
        out += b"".join(parts)
    return out


def encode(kind: str, document: dict) -> bytes:
    return bytes([VERSION, 0]) + _write_message(kind, document)


def units(text: str) -> bytes:
    """What strings are compared by: UTF-16 code units."""
    return text.encode("utf-16-be", "surrogatepass")


def _number(value: float) -> str:
    try:
        value = float(value)
    except OverflowError:
        return "null"
    if not math.isfinite(value):
        return "null"
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    text = "".join(map(str, digits)).rstrip("0")
    point = len(digits) + exponent  # where the point stands, from the first digit
    if 0 < point <= 21:
        text = text.ljust(point, "0")
        text = text[:point] + ("." + text[point:] if text[point:] else "")
    elif -6 < point <= 0:
        text = "0." + "0" * -point + text
    else:
        text = text[0] + ("." + text[1:] if text[1:] else "") + f"e{point - 1:+d}"
    return "-" * sign + text


def canonical(value) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{canonical(k)}:{canonical(value[k])}" for k in sorted(value, key=units)) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, str):
        text = json.dumps(units(value).decode("utf-16-be", "surrogatepass"), ensure_ascii=False)
        return re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return _number(value)


def hash_of(value) -> str:
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]
