"""datamodel-code-generator turns every schema into classes; they can be imported, accept every valid fixture, write it out
unchanged, and refuse an empty object in the place of a message that has to have members."""

import importlib
import json
import sys
import tempfile
import warnings
from pathlib import Path

from datamodel_code_generator import DataModelType, InputFileType, generate
from datamodel_code_generator.format import Formatter
from files import finish, fixtures, schemas
from pydantic import BaseModel, ValidationError

wrong: list[str] = []
models: dict[str, type[BaseModel]] = {}
with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
    # A keyword or format that the generator does not know is a mistake of ours.
    warnings.simplefilter("error")
    sys.path.insert(0, folder)
    for name, file in schemas().items():
        title = json.loads(file.read_text("utf-8"))["title"]
        module = Path(folder) / f"{name.replace('/', '_').replace('-', '_')}.py"
        generate(
            file,
            input_file_type=InputFileType.JsonSchema,
            output=module,
            output_model_type=DataModelType.PydanticV2BaseModel,
            formatters=[Formatter.BUILTIN],
            class_name=title,
        )
        models[name] = getattr(importlib.import_module(module.stem), title)

values = 0
for fixture in fixtures():
    if not fixture.valid:
        continue
    values += 1
    try:
        value = models[fixture.message].model_validate(fixture.document)
    except ValidationError as error:
        wrong.append(f"{fixture.file}: {error}")
        continue
    known = value.model_dump(mode="json", by_alias=True, exclude_unset=True)
    # Of an HTTP message these parts, of a document every member that its schema names.
    parts = ["status", "method", "path", "headers", "body"]
    if not fixture.message.startswith("stream/"):
        parts = json.loads(schemas()[fixture.message].read_text("utf-8"))["properties"]
    # What nobody knows is not written again.
    if "/unknown-member" in fixture.file:
        parts = []
    for part in parts:
        if known.get(part) != fixture.document.get(part):
            wrong.append(f"{fixture.file}: {part} is written as {known.get(part)!r}")

may_be_empty = {fixture.message for fixture in fixtures() if fixture.valid and fixture.document == {}}
for name in {fixture.message for fixture in fixtures()} - may_be_empty:
    try:
        models[name].model_validate({})
        wrong.append(f"{name}: an empty object is accepted")
    except ValidationError:
        pass

finish(wrong, {"schemas to Python": len(models), "valid fixtures as values": values})
