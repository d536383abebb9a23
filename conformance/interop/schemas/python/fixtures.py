"""jsonschema takes every schema and judges every fixture as its name says."""

import json

from files import blind, finish, fixtures, schemas
from jsonschema import Draft202012Validator

wrong: list[str] = []
validators: dict[str, Draft202012Validator] = {}
with_fixtures = {fixture.message for fixture in fixtures()}
for name, file in schemas().items():
    if name in with_fixtures:
        schema = json.loads(file.read_text("utf-8"))
        Draft202012Validator.check_schema(schema)
        validators[name] = Draft202012Validator(schema)


def judge(message: str, what: str, document: object, valid: bool) -> None:
    """Compares what the schema says with what it has to say."""
    if message not in validators:
        wrong.append(f"{what}: there is no schema {message}")
        return
    errors = [f"{error.json_path}: {error.message}" for error in validators[message].iter_errors(document)]
    if valid == bool(errors):
        wrong.append(f"{what}: {'refused: ' + '; '.join(errors) if errors else 'accepted'}")


for fixture in fixtures():
    judge(fixture.message, fixture.file, fixture.document, fixture.valid)
# What the schema cannot see it accepts; if it refused it, the rule would have to leave the table.
for entry in blind():
    judge(entry["message"], f"blind: {entry['rule']}", json.loads(entry["document"]), True)

finish(
    wrong,
    {
        "schemas by jsonschema": len(validators),
        "valid fixtures": sum(fixture.valid for fixture in fixtures()),
        "invalid fixtures": sum(not fixture.valid for fixture in fixtures()),
        "blind rules": len(blind()),
    },
)
