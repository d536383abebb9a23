// Starts the reference stream server from the package @durable-streams/server,
// so that a conformance run has a real server to talk to over the wire.
// It is for tests only: it listens on 127.0.0.1, without TLS or access control.
//
// Environment:
//   PORT          port to listen on, 0 to 65535; 0 takes any free one (default 0)
//   LONG_POLL_MS  how long a long-poll waits, in ms (default 500; the package's own is 30000)
//   DATA_DIR      folder of the file store; not set: the store is in memory
//   SERVER_PACKAGE  file to load in place of the package: a changed copy of it (mutants/README.md)
//
// Stdout gets one line, "listening http://127.0.0.1:PORT/v1/stream", once requests are
// taken; everything else goes to stderr. SIGTERM and SIGINT stop it with exit code 0.
// Exit code 2: a bad environment variable. Exit code 1: the server could not start or stop.

import { mkdirSync } from "node:fs"
import { pathToFileURL } from "node:url"

// The package logs to stdout by way of console.info; stdout is kept for our line.
console.info = console.error
console.log = console.error

const HOST = "127.0.0.1"
const STOP_GRACE_MS = 500
const STOP_LIMIT_MS = 3000

function fail(code, message) {
  process.stderr.write(`server.mjs: ${message}\n`)
  process.exit(code)
}

function wholeNumber(name, fallback, min, max) {
  const text = process.env[name]
  if (text === undefined || text === "") return fallback
  const value = /^[0-9]{1,15}$/.test(text) ? Number(text) : NaN
  if (!(value >= min && value <= max)) {
    fail(2, `${name} must be a whole number from ${min} to ${max}, not ${JSON.stringify(text)}`)
  }
  return value
}

const port = wholeNumber("PORT", 0, 0, 65535)
const longPollTimeout = wholeNumber("LONG_POLL_MS", 500, 1, 2147483647)
const dataDir = process.env.DATA_DIR || undefined
if (dataDir !== undefined) {
  try {
    mkdirSync(dataDir, { recursive: true })
  } catch (err) {
    fail(2, `DATA_DIR ${JSON.stringify(dataDir)} cannot be used as a folder: ${err.message}`)
  }
}

let DurableStreamTestServer
try {
  const copy = process.env.SERVER_PACKAGE
  ;({ DurableStreamTestServer } = await import(copy ? pathToFileURL(copy).href : "@durable-streams/server"))
} catch (err) {
  fail(1, `@durable-streams/server cannot be loaded (run "npm ci" in this folder first): ${err.message}`)
}

let server
let ready = false
let stopping = false

async function stop() {
  if (stopping) return
  stopping = true
  if (!ready) process.exit(0)
  // stop() waits for open connections; a peer that never lets go must not keep us alive,
  // so what is still open after a short grace is cut ("server" is the package's own field).
  setTimeout(() => server.server?.closeAllConnections?.(), STOP_GRACE_MS).unref()
  setTimeout(() => fail(1, `not stopped after ${STOP_LIMIT_MS} ms`), STOP_LIMIT_MS).unref()
  try {
    await server.stop()
  } catch (err) {
    fail(1, `could not stop: ${err.message}`)
  }
  process.exit(0)
}
process.on("SIGTERM", stop)
process.on("SIGINT", stop)

let url
try {
  server = new DurableStreamTestServer({ port, host: HOST, longPollTimeout, dataDir })
  url = await server.start()
} catch (err) {
  fail(1, `could not start on ${HOST}:${port}: ${err.message}`)
}
ready = true
process.stdout.write(`listening ${url}/v1/stream\n`)
