// A public validator takes the OpenAPI document of every protocol.
import { Validator } from "@seriousme/openapi-schema-validator";
import { finish, openapi } from "./files.mjs";

const wrong = [];
let operations = 0;
for (const { name, document } of openapi) {
  const validator = new Validator();
  const { valid, errors } = await validator.validate(structuredClone(document));
  if (!valid) wrong.push(`schemas/${name}.json: ${JSON.stringify(errors, null, 2)}`);
  if (validator.version !== "3.1") wrong.push(`schemas/${name}.json is of OpenAPI ${validator.version}, not 3.1`);
  const methods = ["get", "put", "post", "delete", "head", "options", "patch", "trace"];
  operations += Object.values(document.paths).flatMap((path) => methods.filter((method) => method in path)).length;
}
finish(wrong, { "OpenAPI documents": openapi.length, operations });
