// json-schema-to-typescript turns every schema into types; the compiler takes them, with every valid fixture as a value of its
// type, and refuses an empty object in the place of a message that has to have members.
import { compile } from "json-schema-to-typescript";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import ts from "typescript";
import { finish, fixtures, schemas } from "./files.mjs";

const wrong = [];
const dir = mkdtempSync(join(tmpdir(), "wireproof-types-"));
const files = [];
const write = (name, text) => {
  const file = join(dir, name);
  writeFileSync(file, text);
  files.push(file);
};

let values = 0;
for (const { name, document } of schemas) {
  const module = name.replace("/", "-");
  const source = await compile(structuredClone(document), document.title, { bannerComment: "", cwd: dir });
  if (!new RegExp(`export (interface|type) ${document.title}\\b`).test(source)) {
    wrong.push(`schemas/${name}.json: no type ${document.title}`);
    continue;
  }
  write(`${module}.ts`, source);
  const own = fixtures.filter((fixture) => fixture.valid && fixture.message === name);
  if (own.length === 0) continue;
  const lines = own.map(({ text }, index) => `export const value${index}: T = ${text.trim()};`);
  values += lines.length;
  const mayBeEmpty = own.some(({ text }) => text.trim() === "{}");
  const empty = mayBeEmpty ? "" : "// @ts-expect-error: a message has members.\nexport const empty: T = {};";
  write(`${module}.values.ts`, [`import type { ${document.title} as T } from "./${module}.js";`, ...lines, empty].join("\n"));
}

const program = ts.createProgram(files, {
  strict: true,
  noEmit: true,
  types: [],
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
});
for (const { file, start, messageText } of ts.getPreEmitDiagnostics(program)) {
  const where = file ? `${file.fileName.slice(dir.length + 1)}:${file.getLineAndCharacterOfPosition(start ?? 0).line + 1}: ` : "";
  wrong.push(where + ts.flattenDiagnosticMessageText(messageText, "\n"));
}
rmSync(dir, { recursive: true });
finish(wrong, { "schemas to TypeScript": schemas.length, "valid fixtures as values": values });
