import asyncio, contextlib, json, os, random, re, sys, time
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

# ---- The client, a small one. Put yours in its place. ----
def parse(frame):
    with contextlib.suppress(ValueError):
        return json.loads(frame)

def has(value, **kinds):
    return type(value) is dict and all(type(value.get(name)) is kind for name, kind in kinds.items())

def is_push(frame):
    return has(frame, type=str, queue_id=str, messages=list) and frame["type"] in ("message", "replay") and all(
        has(message, id=str, queue_id=str, offset=int) for message in frame["messages"])

def subscribe(url, queue, key, client_id, last_offset, attempts, delay, max_delay, on_message, on_error):
    if not re.fullmatch("[a-z_][a-z0-9_-]{0,255}", queue or "") or not key:
        raise ValueError("there is no key, or the queue has no legal name")
    url = re.sub("^http", "ws", url).removesuffix("/") + "/queue/ws/" + queue
    request = {"authorization": key, "client_id": client_id, "last_offset": last_offset}
    # Whoever cancels the task closes the subscription.
    return asyncio.create_task(run(url, request, attempts, delay, max_delay, on_message, on_error))

async def run(url, request, attempts, delay, max_delay, on_message, on_error):
    redials, final = 0, False
    while not final:
        try:
            socket = await connect(url, max_size=None, proxy=None)
            try:
                await socket.send(json.dumps({name: value for name, value in request.items() if value is not None}))
                answer = parse(await asyncio.wait_for(socket.recv(), 45))
                if not has(answer, success=bool) or not has({"error": "", "client_id": "", **answer}, error=str, client_id=str):
                    await socket.close(4000, "Invalid auth response")
                elif not answer["success"]:
                    on_error(f"refused: {answer.get('error')}")
                    return await socket.close(4001, "Auth failed")
                else:
                    redials, request["client_id"] = 0, answer.get("client_id") or request["client_id"]
                    async for push in socket:
                        for message in parse(push)["messages"] if is_push(parse(push)) else []:
                            with contextlib.suppress(Exception):  # a handler that fails is no reason to end
                                on_message(message)
                                request["last_offset"] = message["offset"]
            finally:
                await socket.close(1000, "Client closed")
                final = 4000 <= socket.close_code <= 4999
        except (OSError, WebSocketException) as error:
            on_error(repr(error))
        if redials == attempts:
            return on_error(f"gave up after {attempts} redials")
        await asyncio.sleep(min(delay * 2 ** redials * random.uniform(0.5, 1), max_delay) / 1000)
        redials += 1

# ---- The adapter: what wireproof asks for, in terms of the client. ----
OPERATIONS = {"subscribe": ["handler", "delay_ms", "max_delay_ms", "attempts", "client_id", "last_offset"], "close": []}
subscriptions = {}

def say(**line):
    print(json.dumps(line), flush=True)

def start(session, args):
    def on_message(message):
        say(session=session, event="delivered", data=message)
        if message["offset"] == args.get("works_at"):
            time.sleep(args["works_ms"] / 1000)
        if message["offset"] in args.get("fails_at", []):
            raise RuntimeError("the handler fails")
    given = [args.get(name) for name in ("url", "queue", "key", "client_id", "last_offset", "attempts")]
    return subscribe(*given, args.get("delay_ms", 1000), args.get("max_delay_ms", 30000), on_message,
                     on_error=lambda text: say(session=session, event="error", data={"message": text}))

async def main():
    while line := await asyncio.to_thread(sys.stdin.buffer.readline):
        request = json.loads(line)
        op, session = request["op"], request.get("session")
        try:
            if op == "subscribe":
                subscriptions[session] = start(session, request["args"])
            elif session in subscriptions and op != "hello":
                subscriptions[session].cancel()
            say(id=request["id"], ok={"operations": OPERATIONS} if op == "hello" else {})
        except Exception as error:
            say(id=request["id"], error=str(error))
    os._exit(0)  # at once, whatever is open

asyncio.run(main())
