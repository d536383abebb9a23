// The adapter of the queue client of npm @agentuity/server (spec/adapter.md, protocol queue). README.md says what it hands on.
// It needs a WebSocket in the runtime; Node 20 has none, so it gets that of the package ws, before the client is loaded.
import { AsyncLocalStorage } from "node:async_hooks"
import WebSocket from "ws"

// A key of whoever runs this is never to stand in for one that a check leaves out.
delete process.env.AGENTUITY_SDK_KEY
globalThis.WebSocket = WebSocket
// Calls cannot be cancelled in the client. Each runs with the signal of its session, so that `end` ends it.
const calling = new AsyncLocalStorage()
const fetched = globalThis.fetch
globalThis.fetch = (url, init) => fetched(url, { ...init, signal: calling.getStore() })
const { APIClient, createQueueWebSocket, getQueue, publishMessage, subscribeToQueue } = await import("@agentuity/server")

const OPERATIONS = {
  subscribe: ["handler", "iterator", "delay_ms", "max_delay_ms", "attempts", "client_id", "last_offset", "organisation"],
  take: [],
  close: [],
  call: ["organisation", "retries", "retry_delay_ms", "window_ms", "stream"],
}
const MOST = 1 << 20 // bytes of a line
const LONG = 1 << 16 // characters of an error
const SILENT = { trace() {}, debug() {}, info() {}, warn() {}, error() {} } // stdout is for lines
const sessions = new Map()

const print = line => JSON.stringify(line) + "\n"
const say = text => process.stdout.write(text)
const words = thrown => String(thrown instanceof Error ? thrown.message : thrown).slice(0, LONG)

class Session {
  constructor(name) {
    this.name = name
    this.unneeded = new AbortController() // aborted by `end`
    this.subscription = undefined // whatever has take() and close()
  }
  tell(event, data) {
    if (this.unneeded.signal.aborted) return
    const line = print({ session: this.name, event, data })
    if (Buffer.byteLength(line) <= MOST) return say(line)
    const { payload, metadata, ...rest } = data // no line holds it: told without what is long
    say(print({ session: this.name, event, data: rest }))
  }
  end() {
    this.subscription?.close()?.catch(() => {})
    this.unneeded.abort()
  }
}

// What both interfaces of the client are given.
const target = ({ url, queue, key, client_id, last_offset, organisation }) =>
  ({ baseUrl: url, queueName: queue, apiKey: key, clientId: client_id, lastOffset: last_offset, orgId: organisation })

function handle(session, args) {
  let ended = false
  // The client is in the state closed before each redial too; only what it is in when it has gone on is its last word.
  const look = () => queueMicrotask(() => {
    if (ended || connection?.state !== "closed") return
    ended = true
    session.tell("ended", {})
  })
  const connection = createQueueWebSocket({
    ...target(args),
    reconnectDelayMs: args.delay_ms,
    maxReconnectDelayMs: args.max_delay_ms,
    maxReconnectAttempts: args.attempts,
    onMessage(message) {
      session.tell("delivered", message)
      if (args.works_at === message.offset) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, args.works_ms)
      if (args.fails_at?.includes(message.offset)) throw new Error(`the function fails at ${message.offset}`)
    },
    onError(error) {
      session.tell("error", { message: words(error) })
      look()
    },
    onClose: look,
  })
  return {
    take() { throw new Error("a handler takes no messages") },
    async close() { connection.close() },
  }
}

function iterate(session, args) {
  const abort = new AbortController()
  const messages = subscribeToQueue({ ...target(args), signal: abort.signal })
  let left = args.takes ?? Infinity, waits = false, left_alone, wake
  async function ask() {
    for (;;) {
      while (left <= 0 && !left_alone) await new Promise(resolve => { wake = resolve })
      if (left_alone) return messages.return()
      waits = true
      const { done, value } = await messages.next()
      waits = false
      if (done) return
      left -= 1
      session.tell("delivered", value)
    }
  }
  const asked = ask().then(() => session.tell("ended", {}), thrown => session.tell("ended", { error: words(thrown) }))
  return {
    take() {
      left = Infinity
      wake?.()
    },
    close() {
      if (waits) abort.abort()
      left_alone = true
      wake?.()
      return asked
    },
  }
}

async function call({ url, key, queue, action, organisation, retries, retry_delay_ms, window_ms, payload, idempotency_key }) {
  const settings = { maxRetries: retries, retryDelayMs: retry_delay_ms, serviceUnavailableTimeoutMs: window_ms }
  // Only operations take an organisation by itself; a request of one's own takes it as a header of all requests.
  if (action === "stream" && organisation !== undefined) settings.headers = { "x-agentuity-orgid": organisation }
  const client = key === undefined ? new APIClient(url, SILENT, settings) : new APIClient(url, SILENT, key, settings)
  const options = { orgId: organisation }
  if (action === "get") return getQueue(client, queue, options)
  if (action === "publish") return publishMessage(client, queue, { payload, idempotency_key }, options)
  const body = new Blob([payload]).stream()
  const path = `/queue/messages/publish/${encodeURIComponent(queue)}`
  const response = await client.rawPost(path, body, "application/octet-stream") // as JSON it would not be a stream any more
  return { status: response.status, text: await response.text() }
}

async function perform(session, op, args) {
  if (op === "subscribe") {
    if (session.subscription) throw new Error("this session has a subscription")
    session.subscription = args.interface === "iterator" ? iterate(session, args) : handle(session, args)
    return {}
  }
  if (op === "call") {
    if (!["get", "publish", "stream"].includes(args.action)) throw new Error(`there is no action ${args.action}`)
    try {
      return { data: (await calling.run(session.unneeded.signal, call, args)) ?? null }
    } catch (thrown) {
      return { failed: { message: words(thrown), status: thrown?.status, kind: thrown?.name } }
    }
  }
  if (op !== "take" && op !== "close") throw new Error(`there is no operation ${op}`)
  if (!session.subscription) throw new Error("this session has no subscription")
  await session.subscription[op]()
  return {}
}

function read(line) {
  const { id, session: name, op, args = {} } = JSON.parse(line)
  const answer = ok => say(print({ id, ok })), refuse = thrown => say(print({ id, error: words(thrown) }))
  if (op === "hello") {
    return args.protocol === "queue" ? answer({ operations: OPERATIONS }) : refuse(`this is no client of ${args.protocol}`)
  }
  if (op === "end") {
    sessions.get(name)?.end()
    sessions.delete(name)
    return answer({})
  }
  if (!sessions.has(name)) sessions.set(name, new Session(name))
  perform(sessions.get(name), op, args).then(answer, refuse)
}

// What goes wrong in one session is no reason to end the others; it is said where it does no harm.
process.on("uncaughtException", thrown => console.error(thrown))
process.stdout.on("error", () => process.exit(1))
let rest = ""
process.stdin.setEncoding("utf8")
process.stdin.on("data", text => {
  const lines = (rest + text).split("\n")
  rest = lines.pop()
  lines.forEach(read)
})
process.stdin.on("end", () => process.exit(0))
