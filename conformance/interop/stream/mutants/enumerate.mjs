// All mutants of the installed package, in the order of the source, and the draw among them. Nothing of the package is written
// down: a mutant is named by its kind, its module and its place (line, column and length in dist/index.js).
//
//   node enumerate.mjs            how many there are, by module and kind, and what was left out
//   node enumerate.mjs --draw N   the first N of the permutation

import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { parse } from "acorn"
import { operators } from "./operators.mjs"
import { functionsLeftOut, modulesLeftOut, partsLeftOut, storeOf } from "./scope.mjs"

export const SEED = 20261121
export const VERSION = "0.3.7"

const packagePath = (file) => fileURLToPath(new URL(`../node_modules/@durable-streams/server/${file}`, import.meta.url))

/** The source of the installed package; an error if it is another version than the one that was drawn from. */
export function source() {
  const { version } = JSON.parse(readFileSync(packagePath("package.json"), "utf8"))
  if (version !== VERSION) throw new Error(`@durable-streams/server is ${version}; the draw is for ${VERSION}`)
  return readFileSync(packagePath("dist/index.js"), "utf8")
}

/** The marks that the bundler left: which module a line comes from. */
function modulesByLine(text) {
  const byLine = []
  let module = null
  for (const line of text.split("\n")) {
    const mark = /^\/\/#region src\/(\S+)/.exec(line)
    if (mark) module = mark[1]
    byLine.push(module)
    if (line === "//#endregion") module = null
  }
  return byLine
}

function nameOf(node) {
  if (node.type === "FunctionDeclaration") return node.id.name
  if (node.type === "MethodDefinition") return node.key.name
  return null
}

/** Every mutant, and how many were left out for which reason. */
export function enumerate(text = source()) {
  const tree = parse(text, { ecmaVersion: "latest", sourceType: "module", locations: true })
  const lines = text.split("\n")
  const modules = modulesByLine(text)
  const code = (node) => text.slice(node.start, node.end)
  const mutants = []
  const leftOut = new Map()

  function visit(node, parents, out, where) {
    const module = modules[node.loc.start.line - 1]
    const name = nameOf(node)
    if (name) where = name
    if (!out && Object.hasOwn(modulesLeftOut, module)) out = `module ${module}`
    if (!out && name && Object.hasOwn(functionsLeftOut, name)) out = `function ${name}`
    if (!out) {
      const part = partsLeftOut.find((p) => p.is(node, text, parents))
      if (part) out = `part ${part.name}`
    }
    if (module) {
      for (const [kind, operator] of Object.entries(operators)) {
        for (const made of operator(node, parents, code)) {
          const at = (made.at ?? node).loc.start
          const left = out ?? leftOutPart(made.at, [...parents, node])
          if (left) leftOut.set(left, (leftOut.get(left) ?? 0) + 1)
          else {
            const [from, to] = made.edits[0]
            const id = `${kind.replaceAll(" ", "-")}@${module}:${at.line}:${at.column + 1}+${to - from}`
            const store = storeOf(module, lines[at.line - 1])
            mutants.push({ id, kind, module, where, line: at.line, column: at.column + 1, does: made.does, edits: made.edits, store })
          }
        }
      }
    }
    for (const key of Object.keys(node)) {
      const child = node[key]
      const list = Array.isArray(child) ? child : [child]
      for (const c of list) if (c && typeof c.type === "string" && c.loc) visit(c, [...parents, node], out, where)
    }
  }
  // A mutant may be about a part of its node (a property): that part may be what is left out.
  function leftOutPart(at, parents) {
    if (!at) return null
    const part = partsLeftOut.find((p) => p.is(at, text, parents))
    return part ? `part ${part.name}` : null
  }
  visit(tree, [], null, null)

  mutants.sort((a, b) => a.line - b.line || a.column - b.column || (a.kind < b.kind ? -1 : 1))
  const ids = new Set(mutants.map((m) => m.id))
  if (ids.size !== mutants.length) throw new Error("two mutants have one name")
  return { mutants, leftOut }
}

/** A small generator of numbers from 0 to 1 (mulberry32): the same everywhere for one seed. */
function generator(seed) {
  let a = seed >>> 0
  return () => {
    a = (a + 0x6d2b79f5) >>> 0
    let t = a
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** The mutants in the order in which they are drawn (Fisher and Yates). */
export function permutation(mutants, seed = SEED) {
  const random = generator(seed)
  const list = [...mutants]
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    ;[list[i], list[j]] = [list[j], list[i]]
  }
  return list
}

/** The source with one mutant in it. */
export function mutate(text, mutant) {
  let changed = text
  for (const [from, to, put] of [...mutant.edits].sort((a, b) => b[0] - a[0])) changed = changed.slice(0, from) + put + changed.slice(to)
  return changed
}

function count(list, key) {
  const counts = {}
  for (const item of list) counts[item[key]] = (counts[item[key]] ?? 0) + 1
  return counts
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { mutants, leftOut } = enumerate()
  const at = process.argv.indexOf("--draw")
  console.log(`${mutants.length} mutants of @durable-streams/server ${VERSION}, seed ${SEED}`)
  if (at !== -1) {
    for (const [i, m] of permutation(mutants).slice(0, Number(process.argv[at + 1])).entries()) console.log(`${i + 1}\t${m.id}\t${m.where ?? ""}\t${m.does}`)
  } else {
    console.log("by module", count(mutants, "module"), "\nby kind", count(mutants, "kind"), "\nleft out", Object.fromEntries(leftOut))
  }
}
