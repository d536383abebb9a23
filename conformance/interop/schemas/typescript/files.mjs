// The schemas and fixtures of the workspace, and how a script ends.
import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = new URL("../../../../", import.meta.url);
const read = (path) => readFileSync(new URL(path, root), "utf8");
const names = (path) => readdirSync(new URL(path, root)).sort();
const folders = (path) =>
  readdirSync(new URL(path, root), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();

/** The protocols that have fixtures. */
export const protocols = folders("fixtures/");

/** Every JSON Schema: `{ name: "stream/append-request", document, file }`; those of reports have no fixtures. */
export const schemas = names("schemas/")
  .filter((folder) => !folder.endsWith(".md"))
  .flatMap((folder) => names(`schemas/${folder}/`).map((file) => `${folder}/${file.replace(/\.json$/, "")}`))
  .filter((name) => !name.endsWith("/openapi"))
  .map((name) => ({
    name,
    document: JSON.parse(read(`schemas/${name}.json`)),
    file: fileURLToPath(new URL(`schemas/${name}.json`, root)),
  }));

/** The OpenAPI document of each protocol that has one. */
export const openapi = protocols
  .filter((protocol) => names(`schemas/${protocol}/`).includes("openapi.json"))
  .map((protocol) => ({ name: `${protocol}/openapi`, document: JSON.parse(read(`schemas/${protocol}/openapi.json`)) }));

/** Every fixture: `{ message, file, valid, text }`. */
export const fixtures = protocols.flatMap((protocol) =>
  folders(`fixtures/${protocol}/`).flatMap((message) =>
    ["valid", "invalid"].flatMap((kind) =>
      names(`fixtures/${protocol}/${message}/${kind}/`).map((name) => {
        const file = `fixtures/${protocol}/${message}/${kind}/${name}`;
        return { message: `${protocol}/${message}`, file, valid: kind === "valid", text: read(file) };
      }),
    ),
  ),
);

/** The rules that no JSON Schema sees: `{ message, rule, document }`. */
export const blind = read("fixtures/blind.tsv")
  .trimEnd()
  .split("\n")
  .slice(1)
  .map((row) => row.split("\t"))
  .map(([message, rule, document]) => ({ message, rule, document }));

/** Says what was judged. Fails if anything was wrong, and if there was nothing to judge. */
export function finish(wrong, counts) {
  for (const why of wrong) console.error(why);
  const said = Object.entries(counts).map(([what, count]) => `${count} ${what}`);
  console.log(`${said.join(", ")}: ${wrong.length === 0 ? "all as expected" : `${wrong.length} wrong`}`);
  if (wrong.length > 0 || Object.values(counts).some((count) => count === 0)) process.exit(1);
}
