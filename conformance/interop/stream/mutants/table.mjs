// Writes result.md from the draw, what both suites found, and the judgements about what survived.
//
//   node table.mjs [--ours FILE] [--peer FILE] [--strict]
//
// With --strict it fails while a survivor is without a judgement, more than a fifth is excluded, or the unmutated package was
// caught.

import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { SEED, VERSION, enumerate } from "./enumerate.mjs"
import { HERE, UNMUTATED, WORK, drawn, foundByPeer, option, results } from "./common.mjs"

const EXCLUDING = ["equivalent", "not-required"]
const problems = []
const last = (list) => new Map(list.map((r) => [r.id, r]))
const ours = last(results(option("ours", join(WORK, "ours.jsonl"))).read())
const peerRuns = results(option("peer", join(WORK, "peer.jsonl"))).read()
const { own: ownFailures, found: peer } = foundByPeer(peerRuns)
const all = new Map(enumerate().mutants.map((m) => [m.id, m]))

/** The judgements: mutant, word, and the line that a reader can refute. */
function judgements() {
  const path = join(HERE, "judged.tsv")
  const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n") : []
  return new Map(lines.filter((l) => l && !l.startsWith("#")).map((l) => [l.split("\t")[0], l.split("\t")]))
}

const isPlain = (id) => id.startsWith(`${UNMUTATED}-`)
const plainOurs = [...ours.values()].filter((r) => isPlain(r.id))
const plainPeer = peerRuns.filter((r) => isPlain(r.id))
for (const run of plainOurs) if (run.fail.length) problems.push(`${run.id} was caught by ${run.fail.map(([c]) => c)}`)

const judged = judgements()
const rows = drawn().filter((row) => row.viable === "yes")
for (const row of rows) {
  const mine = ours.get(row.id)
  const theirs = peer.get(row.id)
  row.kind = all.get(row.id).kind
  row.ours = !mine ? "not tried" : mine.caught ? "caught" : mine.warn.length ? "warned" : mine.verdict === "partial" ? "survived" : "no verdict"
  row.by = !mine ? "" : byWhat(mine.caught ? mine.fail : mine.warn)
  row.tests = theirs?.failed ?? []
  row.peer = !theirs ? "not tried" : row.tests.length ? "caught" : theirs.late || theirs.note ? "did not end" : "survived"
  const [, word = "", line = ""] = judged.get(row.id) ?? []
  row.word = row.ours === "caught" ? "" : word
  row.line = row.ours === "caught" ? "" : line
  row.required = row.ours === "caught" || !EXCLUDING.includes(word)
  if (row.ours !== "caught" && row.ours !== "not tried" && !word) problems.push(`${row.id} has no judgement`)
}

function byWhat(list) {
  const requirements = [...new Set(list.map(([, requirement]) => requirement))]
  const more = requirements.length > 3 ? `, and ${requirements.length - 3} more` : ""
  return `${requirements.slice(0, 3).join(", ")}${more}`
}

const percent = (part, whole) => `${part} of ${whole} (${whole ? ((100 * part) / whole).toFixed(1) : "-"} %)`
const required = rows.filter((r) => r.required)
const excluded = rows.filter((r) => !r.required)
// Whatever is judged, the denominator loses at most a fifth in the last column: what goes beyond counts as missed there.
const atLeast = Math.max(required.length, Math.ceil((rows.length * 4) / 5))
if (excluded.length * 5 > rows.length) problems.push(`${excluded.length} of ${rows.length} are excluded: more than a fifth`)
const is = (key, ...words) => (row) => words.includes(row[key])
const scores = (key, ...words) => {
  const n = (list) => list.filter(is(key, ...words)).length
  return `${percent(n(rows), rows.length)} | ${percent(n(required), required.length)} | ${percent(n(required), atLeast)}`
}
const triedByPeer = rows.filter((r) => r.peer !== "not tried").length

function byKind() {
  const kinds = [...new Set(rows.map((r) => r.kind))].sort()
  return kinds.map((kind) => {
    const list = rows.filter((r) => r.kind === kind)
    const n = (key, words) => list.filter(is(key, ...words)).length
    return `| ${kind} | ${list.length} | ${list.filter((r) => r.required).length} | ${n("ours", ["caught"])} | ${n("peer", ["caught", "did not end"])} |`
  })
}

const cell = (text) => String(text).replaceAll("|", "\\|")
const table = rows.map((r) => {
  const judgement = r.word ? `${r.word}: ${r.line}` : ""
  return `| ${r.number} | \`${r.id}\` | ${r.where} | ${r.ours} | ${r.by} | ${r.peer}${r.tests.length ? ` (${r.tests.length})` : ""} | ${cell(judgement)} |`
})
const onlyPeer = rows.filter((r) => is("ours", "survived", "no verdict")(r) && is("peer", "caught", "did not end")(r)).length
const onlyOurs = rows.filter((r) => r.ours === "caught" && r.peer === "survived").length
const text = `# What the stream suite sees of the mutants of a real server

Written by \`table.mjs\`; [README.md](README.md) says what the words mean. Package: \`@durable-streams/server\` ${VERSION},
${all.size} mutants, seed ${SEED}, the first ${rows.length} viable ones.

| | over all | over the required | if at most a fifth is excluded |
|---|---|---|---|
| this suite, caught | ${scores("ours", "caught")} |
| this suite, caught or warned | ${scores("ours", "caught", "warned")} |
| this suite, not green: caught, warned or no verdict | ${scores("ours", "caught", "warned", "no verdict")} |
| \`@durable-streams/server-conformance-tests\` 0.3.6, caught${triedByPeer < rows.length ? ` (${triedByPeer} tried)` : ""} | ${scores("peer", "caught", "did not end")} |

Judged as equivalent: ${excluded.filter(is("word", "equivalent")).length}; as not required: ${excluded.filter(is("word", "not-required")).length}; together ${percent(excluded.length, rows.length)}. What the other suite
caught and this one neither caught nor warned of: ${onlyPeer}; what only this one caught: ${onlyOurs}. The unmutated package was run ${plainOurs.length} times with this suite and caught ${plainOurs.filter((r) => r.fail.length).length}
times; ${plainPeer.length} times with the other, whose tests that failed there (${ownFailures.memory.size} in memory, ${ownFailures.file.size} with files) are not counted.

| kind | drawn | required | caught by this suite | caught by the other |
|---|---|---|---|---|
${byKind().join("\n")}

## The draw

The mutant is named by kind, module, line, column and length in \`dist/index.js\`. The number is its place in the permutation;
those that are missing are not viable (drawn.tsv).

| number | mutant | function | this suite | broken requirements | the other suite (tests) | judgement |
|---|---|---|---|---|---|---|
${table.join("\n")}
`
writeFileSync(join(HERE, "result.md"), text)
console.log(text.split("## The draw")[0])
for (const problem of problems) console.error(`problem: ${problem}`)
if (process.argv.includes("--strict") && problems.length) process.exit(1)
