// Tries mutants with this suite: the whole of it, with the target file of the mutant's store. One line of JSON a mutant.
//
//   node ours.mjs --wireproof PROGRAM [--shard K/N] [--results FILE] [--unmutated N | --ids A,B] [--store memory|file] [--more OPTIONS]
//
// What is in the results already is not tried again. Caught is what ends with a `fail` that the baseline does not list; if a
// catch rests on one check alone, that check is run once more by itself, and the whole suite too if it then passes.

import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { DATA, WORK, copyWith, endServersOf, option, results, run, tasks } from "./common.mjs"

const program = option("wireproof", process.env.WIREPROOF ?? "wireproof")
const log = results(option("results", join(WORK, "ours.jsonl")))
const LIMIT = { memory: 300_000, file: 420_000 }

/** One run of the suite; what it found that the baseline does not list. */
async function suite(path, store, more = []) {
  const out = mkdtempSync(join(DATA, "mutants-report-"))
  const target = fileURLToPath(new URL(`../${store}.toml`, import.meta.url))
  const args = ["-n", "10", program, "run", "--target", target, "--quiet", "--out", out, ...more]
  const ran = await run("nice", args, { env: { SERVER_PACKAGE: path, TMPDIR: DATA }, limit: LIMIT[store] })
  const left = endServersOf(path)
  let report = null
  try {
    report = JSON.parse(readFileSync(join(out, "result.json"), "utf8"))
  } catch {
    // A run that had to be killed has none.
  }
  rmSync(out, { recursive: true, force: true })
  const found = { exit: ran.exit, seconds: Math.round(ran.seconds), line: ran.out.split("\n").find((l) => l.trim()) ?? "" }
  if (ran.late) found.late = true
  if (left) found.leftServers = left
  if (!report) return { ...found, fail: [], warn: [], note: ran.out.slice(-2000) }
  const fresh = (verdict) =>
    report.checks.filter((c) => c.verdict === verdict && !c.baselined).map((c) => [c.id, c.decided_by, c.actual ?? c.message])
  const short = ([id, requirement, actual]) => [id, requirement, String(actual).slice(0, 300)]
  return {
    ...found,
    verdict: report.verdict,
    fail: fresh("fail").map(short),
    warn: fresh("warn").map(short),
    error: report.checks.filter((c) => c.verdict === "error").map((c) => [c.id, String(c.message).slice(0, 300)]),
    inconclusive: report.checks.filter((c) => c.verdict === "inconclusive").map((c) => c.id),
    stale: (report.baseline.stale ?? []).map((e) => e.check ?? e),
  }
}

async function attempt({ id, store, mutant }) {
  const copy = copyWith(mutant)
  try {
    const whole = await suite(copy.path, store, option("more", "").split(" ").filter(Boolean))
    const result = { id, store, ...whole, caught: whole.exit === 1 }
    const checks = [...new Set(whole.fail.map(([check]) => check))]
    if (result.caught && checks.length === 1) {
      const alone = await suite(copy.path, store, ["--only", checks[0]])
      result.again = alone.exit === 1 ? "alone" : "no"
      if (alone.exit !== 1) {
        const second = await suite(copy.path, store)
        result.second = { exit: second.exit, fail: second.fail }
        if (second.exit === 1) result.again = "whole"
        else result.caught = false
      }
    }
    return result
  } finally {
    copy.remove()
  }
}

const done = new Set(log.read().map((r) => r.id))
for (const task of tasks()) {
  if (done.has(task.id)) continue
  const result = await attempt(task)
  log.add(result)
  const seen = result.fail.length ? result.fail.map(([check]) => check).slice(0, 3).join(", ") : result.warn.map(([check]) => `(${check})`).join(", ")
  console.log(`${result.caught ? "caught  " : "SURVIVED"} ${task.id} exit ${result.exit} ${result.seconds} s ${seen}`)
}
