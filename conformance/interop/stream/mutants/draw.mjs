// Draws the mutants: the first 120 of the permutation that are viable. Viable is what starts and answers a plain PUT with less
// than 500; what is not is listed, and the next takes its place. Writes drawn.tsv.
//
//   node draw.mjs

import { writeFileSync } from "node:fs"
import { SEED, VERSION, enumerate, permutation } from "./enumerate.mjs"
import { DRAWN, copyWith, startServer } from "./common.mjs"

const COUNT = 120

async function viable(mutant) {
  const copy = copyWith(mutant)
  const server = await startServer(copy.path, mutant.store)
  try {
    if (!server.url) return "does not start"
    const answer = await fetch(`${server.url}/v1/stream/viable`, {
      method: "PUT",
      headers: { "content-type": "text/plain" },
      signal: AbortSignal.timeout(8000),
    })
    return answer.status < 500 ? "yes" : `answers a PUT with ${answer.status}`
  } catch {
    return "does not answer a PUT"
  } finally {
    await server.stop()
    copy.remove()
  }
}

const { mutants } = enumerate()
const rows = []
let found = 0
for (const mutant of permutation(mutants)) {
  if (found === COUNT) break
  const verdict = await viable(mutant)
  if (verdict === "yes") found++
  rows.push([rows.length + 1, mutant.id, mutant.store, mutant.where ?? "", verdict, mutant.does].join("\t"))
  if (rows.length % 10 === 0) console.error(`${rows.length} looked at, ${found} viable`)
}
const head = [
  `# The first ${COUNT} viable mutants of @durable-streams/server ${VERSION}: seed ${SEED}, ${mutants.length} in all. Written by draw.mjs.`,
  "# number\tmutant\tstore\tfunction\tviable\twhat it does",
]
writeFileSync(DRAWN, [...head, ...rows].join("\n") + "\n")
console.log(`seed ${SEED}: ${found} viable of the first ${rows.length}`)
