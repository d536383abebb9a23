// The kinds of mutants. Each operator looks at one node of the syntax tree and returns the mutants that it makes there: a list of
// edits (from, to, text) and what they do, in words of our own.

const WAKE_UPS = /^(this\.(notifyLongPolls|notifyLongPollsClosed|cancelLongPollsForStream)|this\.store\.cancelAllWaits|pending\.resolve|releaseLock)$/
// Longer than the 2 s which a long-poll waits under the target files: who should have been woken is answered by the timeout.
const DELAY_MS = 3000
const HEADERS = /headers|controldata|keepalivedata/i
const STATE_CALLS = /^(this|stream)\.[\w.$]*(set|delete|add|push|splice|clear|put|putSync|removeSync)$/
const COMPARISONS = new Set(["===", "!==", "<", "<=", ">", ">="])

const one = (node, text, does) => ({ edits: [[node.start, node.end, text]], does })
const isLoop = (node) => /^(While|DoWhile|For|ForOf)Statement$/.test(node.type)
const bare = (node) => (node.type === "AwaitExpression" ? node.argument : node)
const isCall = (node) => bare(node).type === "CallExpression"

/** Whether this node is a condition: what an `if` or a loop asks, or a part of it that `&&`, `||` and `!` join. */
function isCondition(node, parents) {
  const parent = parents[parents.length - 1]
  if (!parent) return false
  if (parent.test === node) return true
  if (parent.type === "LogicalExpression" && parent.operator !== "??") return isCondition(parent, parents.slice(0, -1))
  return false
}

/** Whether swapping the branches of the parent does the same as negating this node. */
const isSwappable = (node, parent) =>
  parent?.test === node && (parent.type === "ConditionalExpression" || (parent.type === "IfStatement" && parent.alternate))

const isHeaderTarget = (node, code) =>
  node.type === "AssignmentExpression" && node.left.type === "MemberExpression" && HEADERS.test(code(node.left.object))

function isStateChange(expression, code) {
  const node = bare(expression)
  if (node.type === "UpdateExpression") return node.argument.type === "MemberExpression"
  if (node.type === "AssignmentExpression") return node.left.type === "MemberExpression" && !isHeaderTarget(node, code)
  return node.type === "CallExpression" && STATE_CALLS.test(code(node.callee))
}

/** Whether an object holds the headers of an answer, or the fields of a control event. */
function isHeaders(object, parents, code) {
  const parent = parents[parents.length - 1]
  if (parent?.type === "VariableDeclarator") return HEADERS.test(code(parent.id))
  return parent?.type === "CallExpression" && /writeHead$/.test(code(parent.callee))
}

export const operators = {
  "delete statement": (node, parents, code) => {
    if (node.type === "ExpressionStatement") {
      const { expression } = node
      if (/setHeader$/.test(isCall(expression) ? code(bare(expression).callee) : "")) return []
      if (isStateChange(expression, code) || isHeaderTarget(expression, code)) return []
      return [one(node, ";", "a call or an assignment is left out")]
    }
    if (node.type === "IfStatement" && !node.alternate) return [one(node, ";", "a conditional statement is left out whole")]
    if (node.type === "ThrowStatement") return [one(node, ";", "an error is not thrown")]
    if (node.type === "ContinueStatement") return [one(node, ";", "a loop does not go on with the next")]
    if (node.type === "BreakStatement") return [one(node, ";", "a loop or a case is not left")]
    if (node.type === "ReturnStatement" && !node.argument) return [one(node, ";", "a function is not left")]
    return []
  },

  "negate condition": (node, parents, code) => {
    const parent = parents[parents.length - 1]
    const comparison = node.type === "BinaryExpression" && COMPARISONS.has(node.operator)
    if (!comparison && !isCondition(node, parents)) return []
    if (isSwappable(node, parent)) return []
    const what = parent.test === node ? (isLoop(parent) ? "what a loop asks" : "a whole condition") : "a part of a condition, or a comparison"
    return [one(node, `(!(${code(node)}))`, `${what} is negated`)]
  },

  "change constant": (node, parents, code) => {
    const parent = parents[parents.length - 1]
    if (parent?.type === "Property" && parent.key === node) return []
    if (/^(Import|Export)/.test(parent?.type ?? "")) return []
    if (node.type === "Literal" && typeof node.value === "number") {
      if (parent.type === "UnaryExpression" && parent.operator === "void") return []
      return [one(node, String(node.value + 1), "a number is one more")]
    }
    if (node.type === "Literal" && typeof node.value === "boolean") return [one(node, String(!node.value), "true and false change places")]
    if (node.type === "TemplateLiteral" && node.expressions.length === 0) {
      const empty = node.quasis[0].value.cooked === ""
      return [one(node, empty ? "`x`" : "``", empty ? "an empty text is not empty" : "a text is empty")]
    }
    return []
  },

  "drop await": (node, parents, code) =>
    node.type === "AwaitExpression" ? [one(node, `(${code(node.argument)})`, "a promise is not waited for")] : [],

  "swap branch": (node, parents, code) => {
    if (node.type === "IfStatement" && node.alternate) {
      const text = `if (${code(node.test)}) { ${code(node.alternate)} } else { ${code(node.consequent)} }`
      return [one(node, text, "the two branches of an if change places")]
    }
    if (node.type === "ConditionalExpression") {
      const text = `((${code(node.test)}) ? (${code(node.alternate)}) : (${code(node.consequent)}))`
      return [one(node, text, "the two values of a choice change places")]
    }
    if (node.type === "LogicalExpression" && node.operator === "??") {
      return [one(node, `((${code(node.right)}) ?? (${code(node.left)}))`, "a value and its default change places")]
    }
    if (node.type === "SwitchStatement") {
      const cases = node.cases.filter((c) => c.test)
      return cases.slice(1).map((c, i) => ({
        edits: [
          [cases[i].test.start, cases[i].test.end, code(c.test)],
          [c.test.start, c.test.end, code(cases[i].test)],
        ],
        does: "two neighbouring cases change places",
        at: c.test,
      }))
    }
    return []
  },

  "drop a header": (node, parents, code) => {
    if (node.type === "ExpressionStatement") {
      const { expression } = node
      const set = isCall(expression) && /^res\.setHeader$/.test(code(bare(expression).callee))
      if (set || isHeaderTarget(expression, code)) return [one(node, ";", "a header or a field of a control event is not set")]
    }
    if (node.type === "ObjectExpression" && isHeaders(node, parents, code)) {
      return node.properties
        .filter((p) => p.type === "Property")
        .map((p) => ({ ...one(p, "...{}", "a header or a field of a control event is not set"), at: p }))
    }
    return []
  },

  "skip a state change": (node, parents, code) => {
    if (node.type === "ExpressionStatement" && isStateChange(node.expression, code)) {
      return [one(node, ";", "what is kept is not changed")]
    }
    // A copy with changes, as { ...before, closed: true }: one of the changes is lost.
    if (node.type === "ObjectExpression" && node.properties.some((p) => p.type === "SpreadElement")) {
      return node.properties
        .filter((p) => p.type === "Property")
        .map((p) => ({ ...one(p, "...{}", "a changed copy loses one change"), at: p }))
    }
    return []
  },

  "delay a wake-up": (node, parents, code) => {
    if (node.type !== "ExpressionStatement" || node.expression.type !== "CallExpression") return []
    const callee = code(node.expression.callee)
    // A promise that is resolved with an object is that of a reader who waits.
    if (!WAKE_UPS.test(callee) && !/^resolve\(\{/.test(code(node))) return []
    return [one(node, `setTimeout(() => { ${code(node)} }, ${DELAY_MS});`, `who waits is woken ${DELAY_MS} ms later`)]
  },
}
