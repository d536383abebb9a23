"""The schemas and fixtures of the workspace, and how a script ends."""

import csv
import json
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[4]


class Fixture(NamedTuple):
    """A golden vector."""

    message: str
    file: str
    valid: bool
    document: object


def schemas() -> dict[str, Path]:
    """Every JSON Schema by its name, `stream/append-request`; those of reports have no fixtures."""
    files = sorted((ROOT / "schemas").glob("*/*.json"))
    return {f"{file.parent.name}/{file.stem}": file for file in files if file.stem != "openapi"}


def fixtures() -> list[Fixture]:
    """Every fixture of every protocol."""
    found = []
    for file in sorted((ROOT / "fixtures").glob("*/*/*/*.json")):
        message, kind = file.parent.parent, file.parent.name
        name = f"{message.parent.name}/{message.name}"
        document = json.loads(file.read_text("utf-8"))
        found.append(Fixture(name, str(file.relative_to(ROOT)), kind == "valid", document))
    return found


def blind() -> list[dict[str, str]]:
    """The rules that no JSON Schema sees, each with `message`, `rule` and `document`."""
    with (ROOT / "fixtures/blind.tsv").open(encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE))


def finish(wrong: list[str], counts: dict[str, int]) -> None:
    """Says what was judged. Fails if anything was wrong, and if there was nothing to judge."""
    for why in wrong:
        print(why, file=sys.stderr)
    said = ", ".join(f"{count} {what}" for what, count in counts.items())
    print(f"{said}: {f'{len(wrong)} wrong' if wrong else 'all as expected'}")
    if wrong or 0 in counts.values():
        sys.exit(1)
