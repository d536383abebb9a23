// ajv in strict mode takes every schema and judges every fixture as its name says.
import { Ajv2020 } from "ajv/dist/2020.js";
import { blind, finish, fixtures, protocols, schemas } from "./files.mjs";

const wrong = [];
const validators = new Map();
for (const { name, document } of schemas.filter(({ name }) => protocols.includes(name.split("/")[0]))) {
  // One validator each: no schema may need another.
  const ajv = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false, allErrors: true });
  try {
    validators.set(name, ajv.compile(document));
  } catch (error) {
    wrong.push(`schemas/${name}.json: ${error.message}`);
  }
}

function judge(message, what, document, valid) {
  const validate = validators.get(message);
  if (!validate) return wrong.push(`${what}: there is no schema ${message}`);
  if (validate(document) === valid) return;
  const errors = (validate.errors ?? []).map((error) => `${error.instancePath} ${error.message}`);
  wrong.push(`${what}: ${valid ? `refused: ${errors.join("; ")}` : "accepted"}`);
}

for (const { message, file, valid, text } of fixtures) judge(message, file, JSON.parse(text), valid);
// What the schema cannot see it accepts; if it refused it, the rule would have to leave the table.
for (const { message, rule, document } of blind) judge(message, `blind: ${rule}`, JSON.parse(document), true);

const valid = fixtures.filter((fixture) => fixture.valid).length;
finish(wrong, {
  "schemas by ajv": validators.size,
  "valid fixtures": valid,
  "invalid fixtures": fixtures.length - valid,
  "blind rules": blind.length,
});
