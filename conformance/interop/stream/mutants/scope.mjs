// What is left out before anything is drawn, each with its reason. Nothing here may be changed after the draw: a leaving-out
// that comes later is a judgement and belongs into judged.tsv, where it counts.

/** Modules of the package that serve only what spec/stream.md does not cover. */
export const modulesLeftOut = {
  "log.ts": "writes lines for the operator to stderr and to a file; nothing of it is on the wire",
  "crypto.ts": "signs webhooks and makes tokens of subscriptions; spec/stream.md has no subscriptions yet",
  "glob.ts": "matches stream names with the patterns of subscriptions",
  "subscription-manager.ts": "subscriptions; the stream server only tells it of appends",
  "subscription-routes.ts": "the URLs of subscriptions, under a reserved path",
  "registry-hook.ts": "an optional list of all streams, which whoever starts the server has to ask for; server.mjs does not",
}

/** Functions of the modules that are kept, which serve only the tests of clients: they make the server answer wrongly on demand. */
export const functionsLeftOut = {
  injectError: "faults on demand",
  injectFault: "faults on demand",
  clearInjectedFaults: "faults on demand",
  consumeInjectedFault: "faults on demand",
  applyFaultDelay: "faults on demand",
  applyFaultBodyModification: "faults on demand",
  handleTestInjectError: "faults on demand, by a URL of their own",
}

const text = (source, node) => source.slice(node.start, node.end)
const isLog = (node) =>
  node.type === "CallExpression" &&
  node.callee.type === "MemberExpression" &&
  node.callee.object.type === "Identifier" &&
  node.callee.object.name === "serverLog"

/** Parts of functions that are left out, wherever they stand. */
export const partsLeftOut = [
  {
    name: "log",
    reason: "a line of the log, or a condition that decides only whether one is written",
    is: (node) =>
      isLog(node) ||
      (node.type === "ExpressionStatement" && isLog(node.expression)) ||
      (node.type === "IfStatement" &&
        !node.alternate &&
        node.consequent.type === "ExpressionStatement" &&
        isLog(node.consequent.expression)),
  },
  {
    name: "fault",
    reason: "where a function asks for a fault that was ordered",
    is: (node, source) =>
      node.type === "IfStatement" && /^(fault\b|path\$1 === `\/_test\/)/.test(text(source, node.test)),
  },
  {
    name: "refusal",
    reason: "the words of a refusal and their media type: spec/stream.md leaves the body of a refusal free",
    is: (node, source, parents) => {
      const parent = parents[parents.length - 1]
      if (node.type === "TemplateLiteral" && parent?.type === "CallExpression") {
        return /^res\.end$/.test(text(source, parent.callee))
      }
      if (node.type !== "Property" || !/^"content-type"$/.test(text(source, node.key))) return false
      const call = parents[parents.length - 2]
      return (
        call?.type === "CallExpression" &&
        /writeHead$/.test(text(source, call.callee)) &&
        call.arguments[0].type === "Literal" &&
        call.arguments[0].value >= 400
      )
    },
  },
  {
    name: "cross-origin sharing",
    reason: "headers that let pages of other origins ask (CORS); spec/stream.md does not speak of them",
    is: (node, source) =>
      (node.type === "ExpressionStatement" && /^res\.setHeader\(`access-control-/.test(text(source, node))) ||
      (node.type === "Property" && /^"access-control-/.test(text(source, node.key))),
  },
]

/** The store whose target file tries a mutant: that of the module, and for what speaks of the file store by name that one. */
export function storeOf(module, line) {
  return module === "file-store.ts" || module === "path-encoding.ts" || /FileBackedStreamStore/.test(line) ? "file" : "memory"
}
