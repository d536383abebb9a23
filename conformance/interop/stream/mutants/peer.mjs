// Tries mutants with the existing suite @durable-streams/server-conformance-tests. One line of JSON a mutant.
//
//   node peer.mjs [--shard K/N] [--results FILE] [--unmutated N | --ids A,B] [--store memory|file] [--again]
//
// --again runs once more what rests on one test alone; only what fails then too is counted.
//
// The whole suite runs against server.mjs. It is stopped behind so many failures that some of them cannot be those of the
// package itself. What does not end in time counts as caught too: somebody would look.

import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { DATA, HERE, WORK, copyWith, foundByPeer, option, results, run, startServer, tasks } from "./common.mjs"

const log = results(option("results", join(WORK, "peer.jsonl")))
const BAIL = Number(option("bail", 16))
const LIMIT = 180_000

async function attempt({ id, store, mutant }) {
  const copy = copyWith(mutant)
  const server = await startServer(copy.path, store)
  const out = mkdtempSync(join(DATA, "mutants-peer-"))
  try {
    if (!server.url) return { id, store, failed: [], note: "the server did not start" }
    const file = join(out, "report.json")
    const vitest = join(HERE, "node_modules/vitest/vitest.mjs")
    const args = ["-n", "10", process.execPath, vitest, "run", "peer.test.mjs", "--reporter=json", `--outputFile=${file}`, `--bail=${BAIL}`]
    const ran = await run("nice", args, { env: { CONFORMANCE_TEST_URL: server.url }, limit: LIMIT })
    const result = { id, store, exit: ran.exit, seconds: Math.round(ran.seconds), late: ran.late || undefined, failed: [] }
    try {
      const tests = JSON.parse(readFileSync(file, "utf8")).testResults.flatMap((f) => f.assertionResults)
      result.passed = tests.filter((t) => t.status === "passed").length
      result.failed = tests.filter((t) => t.status === "failed").map((t) => [...t.ancestorTitles, t.title].join(" > "))
    } catch {
      result.note = "no report"
    }
    return result
  } finally {
    await server.stop()
    copy.remove()
    rmSync(out, { recursive: true, force: true })
  }
}

const again = process.argv.includes("--again")
const done = new Set(log.read().map((r) => r.id))
const { found } = foundByPeer(log.read())
const alone = (id) => found.get(id)?.failed.length === 1 && !found.get(id).again
for (const task of tasks()) {
  if (again ? !alone(task.id) : done.has(task.id)) continue
  const result = await attempt(task)
  log.add(result)
  const odd = `${result.late ? ", did not end" : ""}${result.note ? `, ${result.note}` : ""}`
  console.log(`${task.id} ${result.seconds} s: ${result.passed} passed, ${result.failed.length} failed${odd}`)
}
