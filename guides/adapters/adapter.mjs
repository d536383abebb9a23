import { createInterface } from "node:readline"
import WebSocket from "ws"

// ---- The client, a small one. Put yours in its place. ----
const isText = v => typeof v === "string"
const isAnswer = f => typeof f?.success === "boolean" && [f.error, f.client_id].every(v => v === undefined || isText(v))
const isMessage = m => isText(m?.id) && isText(m.queue_id) && Number.isInteger(m.offset)
const isPush = f => ["message", "replay"].includes(f?.type) && isText(f.queue_id) && Array.isArray(f.messages) && f.messages.every(isMessage)
const parse = (data, isBinary) => { try { return isBinary ? undefined : JSON.parse(data) } catch { return undefined } }

function subscribe({ url, queue, key, delay = 1000, maxDelay = 30000, attempts = Infinity, clientId, lastOffset }, onMessage, onError) {
  if (!isText(queue) || !/^[a-z_][a-z0-9_-]{0,255}$/.test(queue)) throw new Error("this is no name of a queue")
  if (!key) throw new Error("there is no key")
  let socket, timer, redials = 0, over = false
  const deliver = message => { try { onMessage(message); lastOffset = message.offset } catch (error) { onError(error) } }
  const take = frame => { if (!over && isPush(frame)) frame.messages.forEach(deliver) }
  const end = (code, reason) => { over = true; clearTimeout(timer); socket.close(code, reason) }
  const refused = why => { onError(new Error(`refused: ${why}`)); end(4001, "Auth failed") }
  const dial = () => {
    socket = new WebSocket(`${url.replace(/^http/, "ws").replace(/\/$/, "")}/queue/ws/${queue}`)
    socket.on("open", () => socket.send(JSON.stringify({ authorization: key, client_id: clientId, last_offset: lastOffset })))
    const patience = setTimeout(waiting => waiting.terminate(), 45000, socket)
    socket.once("message", (...first) => {
      const answer = parse(...first)
      clearTimeout(patience)
      if (!isAnswer(answer)) return socket.close(4000, "Invalid auth response")
      if (!answer.success) return refused(answer.error)
      redials = 0
      clientId = answer.client_id || clientId
      socket.on("message", (...next) => take(parse(...next)))
    })
    socket.on("error", onError)
    socket.on("close", code => {
      if (over || (code >= 4000 && code <= 4999)) return
      if (redials === attempts) return onError(new Error(`gave up after ${attempts} redials`))
      timer = setTimeout(dial, Math.min(delay * 2 ** redials++ * (0.5 + Math.random() / 2), maxDelay))
    })
  }
  dial()
  return { close: () => end(1000, "Client closed") }
}

// ---- The adapter: what wireproof asks for, in terms of the client. ----
const OPERATIONS = { subscribe: ["handler", "delay_ms", "max_delay_ms", "attempts", "client_id", "last_offset"], close: [] }
const subscriptions = new Map()
const say = line => process.stdout.write(JSON.stringify(line) + "\n")

function start(session, { delay_ms: delay, max_delay_ms: maxDelay, client_id: clientId, last_offset: lastOffset, ...args }) {
  const tell = (event, data) => say({ session, event, data })
  const onMessage = message => {
    tell("delivered", message)
    if (message.offset === args.works_at) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, args.works_ms)
    if (args.fails_at?.includes(message.offset)) throw new Error("the handler fails")
  }
  return subscribe({ delay, maxDelay, clientId, lastOffset, ...args }, onMessage, error => tell("error", { message: error.message }))
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, session, op, args } = JSON.parse(line)
  try {
    if (op === "subscribe") subscriptions.set(session, start(session, args))
    else if (op !== "hello") subscriptions.get(session)?.close()
    say({ id, ok: op === "hello" ? { operations: OPERATIONS } : {} })
  } catch (error) { say({ id, error: error.message }) }
}
process.exit()
