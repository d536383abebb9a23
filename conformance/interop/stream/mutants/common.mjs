// What the programs of this folder share: where things are, a copy of the package with one mutant, and children with a limit.

import { spawn } from "node:child_process"
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { enumerate, mutate, source } from "./enumerate.mjs"

export const HERE = fileURLToPath(new URL(".", import.meta.url))
export const SERVER = fileURLToPath(new URL("../server.mjs", import.meta.url))
/** Copies and results are below node_modules: ignored by git, and a copy finds there what the package imports. */
export const WORK = fileURLToPath(new URL("../node_modules/.mutants/", import.meta.url))
export const DRAWN = join(HERE, "drawn.tsv")
/** Where the servers keep their data: in memory if the system has such a folder, for no check can tell it from a disk. */
export const DATA = existsSync("/dev/shm") ? "/dev/shm" : tmpdir()
export const UNMUTATED = "unmutated"

/** The value of `--name`, or what stands for it. */
export function option(name, fallback) {
  const at = process.argv.indexOf(`--${name}`)
  return at === -1 ? fallback : process.argv[at + 1]
}

/** Every mutant by its name. */
export const mutants = () => new Map(enumerate().mutants.map((m) => [m.id, m]))

/** Writes a copy of the package with this mutant; its path, and how to be rid of it. Without a mutant: the copy as it is. */
export function copyWith(mutant) {
  const name = (mutant?.id ?? UNMUTATED).replace(/[^\w.-]/g, "_")
  const folder = join(WORK, `${name}-${process.pid}`)
  mkdirSync(folder, { recursive: true })
  const path = join(folder, "index.mjs")
  writeFileSync(path, mutant ? mutate(source(), mutant) : source())
  return { path, folder, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

/** Runs a program to its end or to the limit: SIGINT then, so that it can clean up, and SIGKILL if it does not. */
export async function run(command, args, { env = {}, cwd = HERE, limit }) {
  const started = Date.now()
  const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] })
  let out = ""
  const keep = (chunk) => {
    if (out.length < 200_000) out += chunk
  }
  child.stdout.on("data", keep)
  child.stderr.on("data", keep)
  let late = false
  const timers = [
    setTimeout(() => {
      late = true
      child.kill("SIGINT")
    }, limit),
    setTimeout(() => child.kill("SIGKILL"), limit + 20_000),
  ]
  const exit = await new Promise((resolve) => {
    child.on("error", (e) => resolve(String(e)))
    child.on("close", (code, signal) => resolve(code ?? signal))
  })
  timers.forEach(clearTimeout)
  return { exit, out, late, seconds: (Date.now() - started) / 1000 }
}

/** Ends what still runs on this copy: a runner that had to be killed leaves its server behind. */
export function endServersOf(path) {
  let ended = 0
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      if (!readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(`SERVER_PACKAGE=${path}`)) continue
      process.kill(Number(pid), "SIGKILL")
      ended++
    } catch {
      // Gone meanwhile, or somebody else's.
    }
  }
  return ended
}

/** Starts server.mjs on a copy; its URL, or null if it does not come up in time. */
export async function startServer(path, store, limit = 8000) {
  const data = join(DATA, `mutants-${process.pid}-${Date.now()}`)
  const env = { ...process.env, SERVER_PACKAGE: path, PORT: "0" }
  delete env.LONG_POLL_MS
  if (store === "file") env.DATA_DIR = data
  const child = spawn(process.execPath, [SERVER], { env, stdio: ["ignore", "pipe", "ignore"] })
  const url = await new Promise((resolve) => {
    const timer = setTimeout(() => resolve(null), limit)
    let out = ""
    child.stdout.on("data", (chunk) => {
      out += chunk
      const ready = /listening (http:\S+)\/v1\/stream/.exec(out)
      if (ready) resolve(ready[1])
    })
    child.on("close", () => {
      clearTimeout(timer)
      resolve(null)
    })
  })
  const stop = async () => {
    child.kill("SIGKILL")
    rmSync(data, { recursive: true, force: true, maxRetries: 5 })
  }
  return { url, stop }
}

/** The lines of a file of results, and how to add one. */
export function results(path) {
  mkdirSync(WORK, { recursive: true })
  const read = () => (existsSync(path) ? readFileSync(path, "utf8").split("\n").filter(Boolean).map((l) => JSON.parse(l)) : [])
  return { read, add: (result) => appendFileSync(path, JSON.stringify(result) + "\n") }
}

/** What the other suite found, by mutant: of several runs only what failed in each; without what fails on the package itself. */
export function foundByPeer(log) {
  const own = { memory: new Set(), file: new Set() }
  const found = new Map()
  for (const run of log) {
    if (run.id.startsWith(`${UNMUTATED}-`)) {
      for (const test of run.failed) own[run.store].add(test)
      continue
    }
    const before = found.get(run.id)
    found.set(run.id, before ? { ...run, failed: run.failed.filter((test) => before.failed.includes(test)), again: true } : run)
  }
  for (const run of found.values()) run.failed = run.failed.filter((test) => !own[run.store].has(test))
  return { own, found }
}

/** The rows of the committed draw. */
export function drawn() {
  return readFileSync(DRAWN, "utf8")
    .split("\n")
    .filter((line) => line && !line.startsWith("#"))
    .map((line) => {
      const [number, id, store, where, viable, does] = line.split("\t")
      return { number: Number(number), id, store, where, viable, does }
    })
}

/** What a program is to try: `--ids A,B` outside the draw, `--unmutated N`, or its shard of the draw. */
export function tasks() {
  const all = mutants()
  const ids = option("ids")
  if (ids) {
    const known = ids.split(",").map((id) => all.get(id) ?? `no mutant is called ${id}`)
    for (const text of known) if (typeof text === "string") throw new Error(text)
    return known.map((mutant) => ({ id: mutant.id, store: mutant.store, mutant }))
  }
  const plain = Number(option("unmutated", 0))
  if (plain) {
    return Array.from({ length: plain }, (_, i) => ({ id: `${UNMUTATED}-${option("store", "memory")}-${i + 1}`, store: option("store", "memory") }))
  }
  const [k, n] = option("shard", "1/1").split("/").map(Number)
  const rows = drawn().filter((row) => row.viable === "yes")
  // Slow and fast ones lie mixed in the draw, so every shard gets its part of both.
  return rows.filter((_, i) => i % n === k - 1).map((row) => ({ id: row.id, store: row.store, mutant: all.get(row.id) }))
}
