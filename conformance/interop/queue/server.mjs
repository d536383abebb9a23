// A server of the core of the protocol queue (spec/queue.md), so that a conformance run has a server to talk to that
// shares nothing with the reference. README.md says how it is started and what it has. Everything is in memory.
// It is for tests only: it listens on 127.0.0.1, without TLS.
import { createServer } from "node:http"
import { randomBytes } from "node:crypto"
import { WebSocketServer } from "ws"

const KEY = process.env.API_KEY || "wireproof-queue-key"
const AUTH_MS = 10_000 // how long we wait for an AuthRequest
const LEAVE_MS = 2_000 // how long a client may take to leave by itself after a failure
const MAX_BODY = 32 << 20, MAX_DEPTH = 512, REPLAY_COUNT = 100, REPLAY_BYTES = 4 << 20
const DEFAULTS = {
  default_ttl_seconds: null, default_visibility_timeout_seconds: 30, default_max_retries: 5, default_retry_backoff_ms: 1000,
  default_retry_max_backoff_ms: 60000, default_retry_multiplier: 2, max_in_flight_per_client: 10, retention_seconds: 2592000,
}
const RANGES = { default_visibility_timeout_seconds: [1, 43200], default_max_retries: [0, 100], max_in_flight_per_client: [1, 1000] }
const queues = new Map() // by name

class Refusal extends Error { constructor(status, message) { super(message); this.status = status } }
const refuse = (status, message) => { throw new Refusal(status, message) }
const check = (ok, message) => ok || refuse(400, message)
const random = () => randomBytes(12).toString("hex")
const time = ms => new Date(ms).toISOString()
const isObject = v => typeof v === "object" && v !== null && !Array.isArray(v) && !(v instanceof Exact)
const isText = (v, min, max) => typeof v === "string" && [...v.slice(0, 2 * max + 2)].length >= min && [...v.slice(0, 2 * max + 2)].length <= max
const isAmount = v => typeof v === "number" && v >= 0

// JSON that keeps numbers which no double holds: inside they are of a class of their own, and on the way in and out
// strings that begin with a secret mark.
class Exact { constructor(text) { this.text = text } toJSON() { return MARK + this.text } }
const MARK = `number ${random()} `, MARKED = new RegExp(`"${MARK}([^"]*)"`, "g")
function decimal(text) { // one text for one value, however it is written
  const m = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/i.exec(text)
  if (!m) return text
  const digits = (m[2] + (m[3] ?? "")).replace(/^0+/, ""), short = digits.replace(/0+$/, "")
  return `${m[1]}${short}e${short && Number(m[4] ?? 0) - (m[3]?.length ?? 0) + digits.length - short.length}`
}
function parse(bytes) {
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)
  JSON.parse(text) // what follows may only be done with JSON
  let inString = false, depth = 0, marked = false
  const safe = text.replace(/\\.|"|[[\]{}]|-?\d[\d.eE+-]*/g, t => {
    if (t === '"') inString = !inString
    if (inString || t === '"') return t
    if (t === "[" || t === "{") check(++depth <= MAX_DEPTH, "nested too deeply")
    if (t === "]" || t === "}") depth--
    if ("[]{}".includes(t) || (t.length < 64 && decimal(t) === decimal(String(Number(t))))) return t
    marked = true
    return `"${MARK}${t}"`
  })
  const revive = (_, v) => typeof v === "string" && v.startsWith(MARK) ? new Exact(v.slice(MARK.length)) : v
  return JSON.parse(safe, marked ? revive : undefined)
}
const print = value => JSON.stringify(value).replace(MARKED, "$1")
const size = value => Buffer.byteLength(print(value))

// Queues and messages. A message stays in `log` while it is retained, in `open` while it is to be delivered.
function settings(given = {}) {
  check(isObject(given), "settings must be an object")
  const known = Object.entries(given).filter(([name]) => name in DEFAULTS && Object.hasOwn(DEFAULTS, name))
  for (const [name, v] of known) {
    const [min, max] = RANGES[name] ?? [0, Infinity]
    check((name === "default_ttl_seconds" && v === null) ||
      (isAmount(v) && v >= min && v <= max && (max === Infinity || Number.isInteger(v))), `${name} is out of its range`)
  }
  return Object.fromEntries(known)
}
function create(body) {
  const { name = `q-${random()}`, queue_type, description } = body
  check(isText(name, 1, 256) && /^[a-z_][a-z0-9_-]*$/.test(name), "the name is not legal")
  check(queue_type === "worker" || queue_type === "pubsub", "queue_type must be worker or pubsub")
  check(description === undefined || isText(description, 0, 1024), "the description must be a text of at most 1024 characters")
  const at = Date.now(), q = { id: `queue_${random()}`, name, queue_type, description, settings: { ...DEFAULTS, ...settings(body.settings) },
    created: at, updated: at, next: 0, log: new Map(), ids: new Map(), keys: new Map(), open: new Set(), dead: new Set(),
    sockets: new Set(), subscribers: new Set(), waiting: new Set() }
  if (queues.has(name)) refuse(409, "a queue has this name")
  queues.set(name, q)
  return q
}
const showQueue = q => ({ id: q.id, name: q.name, queue_type: q.queue_type, description: q.description, ...q.settings, next_offset: q.next,
  message_count: q.log.size, dlq_count: q.dead.size, paused_at: q.paused, created_at: time(q.created), updated_at: time(q.updated) })
const show = m => ({ id: m.id, queue_id: m.queue.id, offset: m.offset, payload: m.payload, size: m.size, metadata: m.metadata, state: m.state,
  idempotency_key: m.key, partition_key: m.partition, ttl_seconds: m.ttl, delivery_attempts: m.attempts, max_retries: m.retries,
  published_at: time(m.at), expires_at: m.expires < 8e15 ? time(m.expires) : undefined, created_at: time(m.at), updated_at: time(m.updated),
  acknowledged_at: m.acknowledged && time(m.acknowledged) })
const showDead = m => ({ id: m.id, queue_id: m.queue.id, original_message_id: m.id, offset: m.offset, payload: m.payload, metadata: m.metadata,
  failure_reason: m.reason, delivery_attempts: m.attempts, moved_at: time(m.updated), published_at: time(m.at), created_at: time(m.updated) })

const retained = m => m !== undefined && (m.state === "dead" || (Date.now() < m.expires && Date.now() < m.at + m.queue.settings.retention_seconds * 1000))
function remove(m) {
  m.queue.log.delete(m.offset), m.queue.ids.delete(m.id), m.queue.open.delete(m), m.queue.dead.delete(m), m.holder?.held.delete(m)
  if (m.queue.keys.get(m.key) === m) m.queue.keys.delete(m.key)
}
function find(q, id) {
  const m = q.ids.get(id)
  return retained(m) ? m : refuse(404, "message not found")
}
function checkMessage(v) {
  check(isObject(v) && v.payload !== undefined, "a message must be an object with a payload")
  check(size(v.payload) <= 1048576, "the payload is longer than 1048576 bytes")
  check(v.metadata === undefined || (isObject(v.metadata) && size(v.metadata) <= 65536), "metadata must be an object of at most 65536 bytes")
  for (const k of ["idempotency_key", "partition_key"]) check(v[k] === undefined || isText(v[k], 0, 256), `${k} must be a text of at most 256 characters`)
  check(v.ttl_seconds === undefined || isAmount(v.ttl_seconds), "ttl_seconds must be a number that is not negative")
}
function publish(q, v) {
  const earlier = q.keys.get(v.idempotency_key)
  if (v.idempotency_key !== undefined && retained(earlier)) return earlier
  const at = Date.now(), ttl = v.ttl_seconds ?? q.settings.default_ttl_seconds
  const m = { queue: q, id: `qmsg_${random()}`, offset: q.next++, payload: v.payload, size: size(v.payload), metadata: v.metadata, state: "pending",
    key: v.idempotency_key, partition: v.partition_key, ttl, attempts: 0, retries: q.settings.default_max_retries, at, updated: at, from: 0,
    expires: ttl === null ? Infinity : at + ttl * 1000 }
  q.log.set(m.offset, m), q.ids.set(m.id, m), q.open.add(m)
  if (m.key !== undefined) q.keys.set(m.key, m)
  return m
}

// Deliveries: what is due is found when somebody asks, and by a clock for those who wait.
function become(m, state, at = Date.now()) {
  Object.assign(m, { state, updated: at })
  if (state !== "leased") m.holder?.held.delete(m), m.holder = undefined
  m.queue.open[state === "pending" || state === "leased" ? "add" : "delete"](m)
  m.queue.dead[state === "dead" ? "add" : "delete"](m)
}
function fail(m, at, reason) {
  const s = m.queue.settings, wait = Math.min(s.default_retry_max_backoff_ms, s.default_retry_backoff_ms * s.default_retry_multiplier ** (m.attempts - 1))
  become(m, m.attempts > m.retries ? "dead" : "pending", at)
  m.from = at + wait, m.reason = reason
}
function again(m) { // a replay begins the life of a message anew
  become(m, "pending")
  Object.assign(m, { attempts: 0, from: 0, acknowledged: undefined, expires: m.ttl === null ? Infinity : Date.now() + m.ttl * 1000 })
  pump(m.queue)
  return m
}
function settle(q) {
  for (const m of q.open) {
    if (!retained(m)) remove(m)
    else if (m.state === "leased" && m.until <= Date.now()) fail(m, m.until, "the visibility timeout has passed")
  }
}
function lease(q, holder) {
  for (const m of q.open) {
    if (m.state !== "pending" || m.from > Date.now() || !retained(m)) continue
    become(m, "leased")
    m.attempts++, m.until = m.updated + q.settings.default_visibility_timeout_seconds * 1000, m.holder = holder
    holder?.held.add(m)
    return m
  }
}
function push(c, type, messages, done) {
  c.ws.send(print({ type, queue_id: c.queue.id, messages: messages.map(show) }), done)
}
function feed(c) { // pubsub: one frame at a time, so that a slow subscriber holds no more than one in our memory
  if (c.busy || c.queue.paused || c.ws.readyState !== c.ws.OPEN) return
  const batch = []
  for (let bytes = 0; c.cursor < c.queue.next && batch.length < REPLAY_COUNT && bytes < REPLAY_BYTES; c.cursor++) {
    const m = c.queue.log.get(c.cursor), old = c.cursor < c.live
    if (!old && batch.length) break
    if (!m || (old && !retained(m))) continue
    batch.push(m), bytes += m.size
    if (!old) { c.cursor++; break }
  }
  if (!batch.length) return
  c.busy = true
  push(c, batch[0].offset < c.live ? "replay" : "message", batch, () => { c.busy = false, feed(c) })
}
function pump(q) {
  if (q.queue_type === "pubsub") q.subscribers.forEach(feed)
  if (!q.waiting.size && (q.queue_type === "pubsub" || !q.subscribers.size)) return
  settle(q)
  while (q.queue_type === "worker" && !q.paused) {
    const free = [...q.subscribers].filter(c => c.ws.readyState === c.ws.OPEN && c.held.size < q.settings.max_in_flight_per_client)
    const c = free.sort((a, b) => a.held.size - b.held.size)[0], m = c && lease(q, c)
    if (!m) break
    push(c, "message", [m])
  }
  for (const waiter of q.waiting) {
    const m = lease(q)
    if (!m) break
    waiter.done({ message: show(m) })
  }
}
const clock = setInterval(() => queues.forEach(q => pump(q)), 25)
const broom = setInterval(() => queues.forEach(q => q.log.forEach(m => retained(m) || remove(m))), 5000)

// HTTP: the operations, by method and action, with the number of arguments in the path.
function number(query, name, fallback, min, max, whole = true) {
  const text = query.get(name)
  if (text === null && fallback !== undefined) return fallback
  const value = /^\d{1,16}(\.\d{1,9})?$/.test(text ?? "") ? Number(text) : NaN
  check(value >= min && value <= max && (!whole || Number.isInteger(value)), `${name} must be from ${min} to ${max}`)
  return value
}
function page(query, all, view) {
  const skip = number(query, "offset", 0, 0, Number.MAX_SAFE_INTEGER), limit = number(query, "limit", 1000, 1, 1000)
  return [all.slice(skip, skip + limit).map(view), all.length]
}
const live = q => [...q.log.values()].filter(retained)
const deadOne = (q, id) => q.dead.has(q.ids.get(id)) ? q.ids.get(id) : refuse(404, "dead letter not found")
const ALIASES = { processing: "leased", completed: "delivered" }, STATES = ["pending", "leased", "delivered", "failed", "dead"]
const operations = {
  "POST create": [0, ({ body }) => ({ queue: showQueue(create(body)) })],
  "GET list": [0, ({ query }) => { const [list, total] = page(query, [...queues.values()], showQueue); return { queues: list, total } }],
  "GET get": [1, ({ q }) => ({ queue: showQueue(q) })],
  "PATCH update": [1, ({ q, body }) => {
    check(body.description === undefined || isText(body.description, 0, 1024), "the description must be a text of at most 1024 characters")
    Object.assign(q.settings, settings(body.settings)), q.description = body.description ?? q.description, q.updated = Date.now()
    pump(q)
    return { queue: showQueue(q) }
  }],
  "DELETE delete": [1, ({ q }) => {
    queues.delete(q.name), q.gone = true
    q.waiting.forEach(waiter => waiter.failed(new Refusal(404, "queue not found")))
    q.sockets.forEach(ws => ws.close(4004, "the queue was deleted"))
  }],
  "POST pause": [1, ({ q }) => { q.paused ??= time(q.updated = Date.now()); return { queue: showQueue(q) } }],
  "POST resume": [1, ({ q }) => { q.paused = undefined, q.updated = Date.now(); pump(q); return { queue: showQueue(q) } }],
  "POST messages/publish": [1, ({ q, body }) => { checkMessage(body); const m = publish(q, body), told = show(m); pump(q); return { message: told } }],
  "POST messages/batch": [1, ({ q, body: { messages } }) => {
    check(Array.isArray(messages) && messages.length >= 1 && messages.length <= 1000, "messages must be an array of 1 to 1000")
    messages.forEach(checkMessage)
    const told = messages.map(v => show(publish(q, v)))
    pump(q)
    return { messages: told }
  }],
  "GET messages/get": [2, ({ q, id }) => ({ message: show(find(q, id)) })],
  "GET messages/offset": [2, ({ q, id }) => {
    check(/^\d{1,16}$/.test(id), "the offset must be a whole number")
    const m = q.log.get(Number(id))
    return { message: retained(m) ? show(m) : refuse(404, "message not found") }
  }],
  "GET messages/list": [1, ({ q, query }) => {
    const asked = query.get("state"), state = ALIASES[asked] ?? asked
    check(asked === null || STATES.includes(state), "there is no such state")
    const [messages, total] = page(query, live(q).filter(m => state === null || m.state === state), show)
    return { messages, total }
  }],
  "DELETE messages/delete": [2, ({ q, id }) => remove(find(q, id))],
  "POST messages/replay": [2, ({ q, id }) => {
    const m = find(q, id)
    if (m.state === "leased") refuse(409, "the message is leased")
    return { message: show(m.state === "pending" ? m : again(m)) }
  }],
  "GET consume": [1, ({ q, query }) => {
    const messages = [], limit = number(query, "limit", 100, 1, 1000)
    for (let o = number(query, "offset", undefined, 0, Number.MAX_SAFE_INTEGER); o < q.next && messages.length < limit; o++) {
      if (retained(q.log.get(o))) messages.push(show(q.log.get(o)))
    }
    return { messages }
  }],
  "GET head": [1, ({ q }) => ({ offset: live(q)[0]?.offset ?? -1 })],
  "GET tail": [1, ({ q }) => ({ offset: live(q).at(-1)?.offset ?? -1 })],
  "GET receive": [1, ({ q, query, left }) => {
    const wait = number(query, "timeout", 0, 0, 30, false) * 1000, m = lease(q)
    if (m || !wait) return { message: m ? show(m) : null }
    return new Promise((resolve, reject) => {
      const end = (settled, value) => { clearTimeout(timer), q.waiting.delete(waiter), settled(value) }
      const waiter = { done: data => end(resolve, data), failed: error => end(reject, error) }
      const timer = setTimeout(() => waiter.done({ message: null }), wait + 5) // never early
      q.waiting.add(waiter), left(() => waiter.done({ message: null }))
    })
  }],
  "POST ack": [2, ({ q, id }) => {
    const m = find(q, id)
    if (m.state === "dead") refuse(409, "the message is dead")
    if (m.state !== "delivered") become(m, "delivered"), m.acknowledged = m.updated
    pump(q)
  }],
  "POST nack": [2, ({ q, id }) => {
    const m = find(q, id)
    if (m.state !== "leased") refuse(409, "the message is not leased")
    fail(m, Date.now(), "the consumer gave it back"), pump(q)
  }],
  "GET dlq/list": [1, ({ q, query }) => { const [messages, total] = page(query, [...q.dead], showDead); return { messages, total } }],
  "POST dlq/replay": [2, ({ q, id }) => ({ message: show(again(deadOne(q, id))) })],
  "DELETE dlq/delete": [2, ({ q, id }) => remove(deadOne(q, id))],
  "DELETE dlq/purge": [1, ({ q }) => q.dead.forEach(remove)],
}
const BODIES = ["POST create", "PATCH update", "POST messages/publish", "POST messages/batch"]

function decode(segment) { try { return decodeURIComponent(segment) } catch { return refuse(400, "a segment of the path is not percent-encoded") } }
async function read(req) {
  const parts = []
  let length = 0
  for await (const part of req) if ((length += part.length) <= MAX_BODY) parts.push(part)
  if (length > MAX_BODY) refuse(413, "the body is too long")
  return Buffer.concat(parts)
}
async function answer(req, left) {
  if (req.headers.authorization?.replace(/^bearer +/i, "Bearer ") !== `Bearer ${KEY}`) refuse(401, "the key is missing or wrong")
  const bytes = await read(req)
  const [path, search] = req.url.split(/\?(.*)/s), [, first, ...rest] = path.split("/")
  const length = operations[`${req.method} ${rest.slice(0, 2).join("/")}`] ? 2 : 1
  const name = `${req.method} ${rest.slice(0, length).join("/")}`, [count, run] = Object.hasOwn(operations, name) ? operations[name] : []
  const args = rest.slice(rest[length] === "2026-01-15" ? length + 1 : length)
  if (first === "queue" && rest[0] === "ws") refuse(426, "this path is for WebSocket")
  if (first !== "queue" || count !== args.length) refuse(404, "operation not found")
  const q = count ? queues.get(decode(args[0])) ?? refuse(404, "queue not found") : undefined
  let body
  if (bytes.length && req.method !== "GET" && req.method !== "DELETE") {
    try { body = parse(bytes) } catch (err) { refuse(400, err instanceof Refusal ? err.message : "the body is no JSON") }
  }
  check(body === undefined ? !BODIES.includes(name) : isObject(body), "the body must be a JSON object")
  if (q) settle(q)
  return run({ q, id: count > 1 ? decode(args[1]) : undefined, body, query: new URLSearchParams(search), left })
}
const server = createServer({ keepAliveTimeout: 75_000 }, async (req, res) => {
  let status = 200, reply
  try {
    reply = { success: true, data: (await answer(req, left => res.on("close", left))) || undefined }
  } catch (err) {
    if (!(err instanceof Refusal)) console.error(err)
    status = err.status ?? 500, reply = { success: false, message: err instanceof Refusal ? err.message : "internal error" }
  }
  res.writeHead(status, { "content-type": "application/json" }).end(print(reply))
})

// WebSocket: one queue for each connection, and one frame of the client.
const wss = new WebSocketServer({ noServer: true, maxPayload: 16 << 20, handleProtocols: () => false })
function whyNot(data, isBinary, q) {
  let v
  try { v = isBinary ? undefined : parse(data) } catch { /* no JSON */ }
  if (!isObject(v)) return ["the first frame must be a JSON object"]
  if (typeof v.authorization !== "string") return ["authorization must be a string"]
  if (v.client_id !== undefined && !isText(v.client_id, 1, 256)) return ["client_id must be a text of 1 to 256 characters"]
  if (v.last_offset !== undefined && !(Number.isSafeInteger(v.last_offset) && v.last_offset >= -1)) return ["last_offset must be a whole number from -1"]
  if (v.authorization !== KEY) return ["invalid key"]
  return q.gone ? ["queue not found"] : [undefined, v]
}
function subscribe(ws, q) {
  const timer = setTimeout(() => ws.close(1008, "no AuthRequest came"), AUTH_MS)
  const c = { ws, queue: q, held: new Set(), busy: false }
  q.sockets.add(ws)
  ws.on("error", err => console.error(`a connection of ${q.name}: ${err.message}`))
  ws.on("close", () => { clearTimeout(timer), q.sockets.delete(ws), q.subscribers.delete(c) })
  ws.once("message", (data, isBinary) => {
    clearTimeout(timer)
    const [error, v] = whyNot(data, isBinary, q)
    if (error) {
      ws.send(print({ success: false, error }))
      setTimeout(() => ws.close(4001, error), LEAVE_MS).unref()
      return
    }
    ws.send(print({ success: true, client_id: v.client_id ?? `qcid_${random()}` }))
    c.live = q.next, c.cursor = Math.min(v.last_offset === undefined ? q.next : v.last_offset + 1, q.next)
    q.subscribers.add(c), pump(q)
  })
}
server.on("upgrade", (req, socket, head) => {
  socket.on("error", () => socket.destroy())
  const [, a, b, name, ...more] = req.url.split("?")[0].split("/")
  let q
  try { q = a === "queue" && b === "ws" && !more.length ? queues.get(decodeURIComponent(name)) : undefined } catch { /* no queue has that name */ }
  if (q) return wss.handleUpgrade(req, socket, head, ws => subscribe(ws, q))
  const body = print({ success: false, message: "queue not found" })
  socket.end(`HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`)
})

function stop() {
  clearInterval(clock), clearInterval(broom), server.close()
  queues.forEach(q => { q.waiting.forEach(w => w.done({ message: null })), q.sockets.forEach(ws => ws.close(1001, "the server stops")) })
  setTimeout(() => process.exit(0), 500)
}
process.on("SIGTERM", stop).on("SIGINT", stop)
if (!/^\d{0,5}$/.test(process.env.PORT ?? "") || process.env.PORT > 65535) console.error("PORT must be a number from 0 to 65535"), process.exit(2)
server.on("error", err => { console.error(err.message), process.exit(1) })
server.listen(Number(process.env.PORT || 0), "127.0.0.1", () => console.log(`listening http://127.0.0.1:${server.address().port}`))
