// wsgikit: Python functions of the site, called from a page. All copies of the module in a page share one registry.
const shared = (globalThis[Symbol.for("wsgikit.page_calls")] ??= {
  endpoint: new URL(".", import.meta.url).pathname.replace(/\/$/, ""),
  functions: new Map(),
  isListening: false,
});

/** What a call is rejected with. `problem` is the document of RFC 9457; its `status` is 0 if no answer came. */
export class CallError extends Error {
  constructor(problem, options) {
    super(problem.detail ?? problem.title, options);
    this.name = "CallError";
    this.problem = problem;
    this.status = problem.status;
  }
}

/** Set where calls are sent: needed only if the module isn't loaded from there. */
export function configure({ endpoint }) {
  shared.endpoint = endpoint;
}

/** Let replies call a function: `PageReply().call("name", [1, 2])`. */
export function register(name, action) {
  shared.functions.set(name, action);
}

/** Call a function of the site. `args` is an object, a list, a form or FormData; files are sent as an upload. */
export async function call(name, args = {}, { signal, onprogress, onitem } = {}) {
  signal?.throwIfAborted();
  const request = pack(name, args);
  const sent = onprogress ? upload(request, signal, onprogress) : fetch(request.url, { ...request, signal });
  const response = await sent.catch((error) => { throw failure(error, "No answer came."); });
  if (!response.ok) throw new CallError(await readProblem(response));
  if (response.headers.get("Content-Type")?.startsWith("text/event-stream")) return readStream(response, onitem);
  const answer = await response.json().catch((error) => { throw failure(error, "The answer is no JSON."); });
  await run(answer.commands);
  return answer.value;
}

/** Return the values of a form: texts, lists for names that repeat or end in "[]", and files. */
export function getFormValues(form, submitter) {
  const element = typeof form === "string" ? document.querySelector(form) : form;
  const values = new Map();
  for (const [name, value] of element instanceof FormData ? element : new FormData(element, submitter)) {
    if (value instanceof File && !value.name) continue; // no file was chosen
    values.set(name, [...(values.get(name) ?? []), value]);
  }
  // fromEntries defines properties and never sets them, so "__proto__" is a name as any other.
  return Object.fromEntries(Array.from(values, ([name, list]) =>
    name.endsWith("[]") ? [name.slice(0, -2), list] : [name, list.length > 1 ? list : list[0]]));
}

const each = (selector, act) => document.querySelectorAll(selector).forEach(act);
const old = (element, name) => element.getAttribute(name) ?? "";
const commands = new Map(Object.entries({
  alert: (text) => globalThis.alert(text),
  html: (selector, html) => each(selector, (element) => { element.innerHTML = html; }),
  html_append: (selector, html) => each(selector, (element) => element.insertAdjacentHTML("beforeend", html)),
  html_prepend: (selector, html) => each(selector, (element) => element.insertAdjacentHTML("afterbegin", html)),
  css: (selector, name, value) => each(selector, (element) => element.style.setProperty(name, value)),
  attr: (selector, name, value) => each(selector, (element) => element.setAttribute(name, value)),
  attr_append: (selector, name, value) => each(selector, (el) => el.setAttribute(name, old(el, name) + value)),
  attr_prepend: (selector, name, value) => each(selector, (el) => el.setAttribute(name, value + old(el, name))),
  remove: (selector) => each(selector, (element) => element.remove()),
  redirect(url) {
    const target = new URL(url, document.baseURI);
    if (!/^https?:$/.test(target.protocol)) throw refusal("A redirect leads to http or https only.");
    location.assign(target);
  },
  call(name, args) {
    const action = shared.functions.get(name);
    if (!action) throw refusal(`The page has registered no function "${name}".`);
    return action(...args);
  },
  script(textContent) {
    const nonce = document.querySelector("script[nonce]")?.nonce;
    if (!nonce) throw refusal("A script needs a page with a nonce.");
    document.head.appendChild(Object.assign(document.createElement("script"), { nonce, textContent })).remove();
  },
}));
async function run(list) {
  for (const [name, ...args] of list) await commands.get(name)(...args);
}

const refusal = (detail) => new CallError({ type: "about:blank", title: "Refused by the page", status: 0, detail });

function failure(error, detail) {
  if (["AbortError", "TimeoutError"].includes(error?.name)) return error;
  return new CallError({ type: "about:blank", title: "No answer", status: 0, detail }, { cause: error });
}

function filesIn(value) {
  const list = value instanceof FileList || Array.isArray(value) ? [...value] : [value];
  return list.length && list.every((one) => one instanceof Blob) ? list : null;
}

function pack(name, args) {
  if (args instanceof FormData || args instanceof HTMLFormElement) args = getFormValues(args);
  const headers = { Accept: "application/json, application/problem+json, text/event-stream" };
  const token = document.querySelector('meta[name="csrf-token"]')?.content;
  if (token) headers["X-CSRF-Token"] = token;
  const entries = Array.isArray(args) ? [] : Object.entries(args);
  const files = entries.filter(([, value]) => filesIn(value));
  if (!files.length) {
    headers["Content-Type"] = "application/json";
    return { method: "POST", url: shared.endpoint, headers, body: JSON.stringify({ call: name, args }) };
  }
  const body = new FormData();
  body.set("args", JSON.stringify(Object.fromEntries(entries.filter(([, value]) => !filesIn(value)))));
  for (const [key, value] of files) for (const file of filesIn(value)) body.append(key, file);
  return { method: "POST", headers, url: `${shared.endpoint}?call=${encodeURIComponent(name)}`, body };
}

// fetch doesn't report the progress of an upload.
function upload({ method, url, headers, body }, signal, onprogress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    Object.entries(headers).forEach(([name, value]) => request.setRequestHeader(name, value));
    request.upload.onprogress = ({ loaded, total }) => onprogress({ loaded, total });
    const typeOf = () => ({ "Content-Type": request.getResponseHeader("Content-Type") ?? "" });
    request.onload = () => resolve(new Response(request.response, { status: request.status, headers: typeOf() }));
    request.onerror = () => reject(new TypeError("The upload failed."));
    request.onabort = () => reject(signal?.reason ?? new DOMException("The call was aborted.", "AbortError"));
    signal?.addEventListener("abort", () => request.abort(), { once: true });
    request.send(body);
  });
}

async function readProblem(response) {
  const isProblem = /^application\/(problem\+)?json/.test(response.headers.get("Content-Type"));
  const document = isProblem ? await response.json().catch(() => null) : null;
  const { status, statusText } = response;
  return { type: "about:blank", title: statusText || `Status ${status}`, ...document, status };
}

async function readStream(response, onitem) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "", end;
  try {
    for (;;) {
      const { value, done } = await reader.read().catch((error) => { throw failure(error, "The stream broke off."); });
      if (done && end) return end.value; // not before: a transaction is committed at the end of the stream
      if (done) throw failure(null, "The stream broke off.");
      const blocks = (text + value).split("\n\n");
      text = blocks.pop();
      for (const block of blocks) {
        const data = /^data: (.*)$/m.exec(block);
        if (!data) continue; // a comment
        const kind = /^event: (.*)$/m.exec(block)?.[1];
        const answer = JSON.parse(data[1]);
        if (kind === "problem") throw new CallError(answer);
        await run(answer.commands);
        if (kind === "end") end = answer;
        else if (answer.value !== null) await onitem?.(answer.value);
      }
    }
  } finally {
    reader.cancel().catch(() => {}); // so that the site ends its generator
  }
}

// <button data-call="name" data-args='{"id": 7}' data-target="#place">, <form data-call="name" data-progress="#bar">
async function trigger(element, args) {
  if (element.ariaBusy === "true") return;
  const { call: name, target, progress } = element.dataset;
  const tell = (type, detail) =>
    element.dispatchEvent(new CustomEvent(`call:${type}`, { detail, bubbles: true, cancelable: true }));
  const onprogress = progress && ((detail) => {
    each(progress, (bar) => Object.assign(bar, { max: detail.total, value: detail.loaded }));
    tell("progress", detail);
  });
  try {
    element.ariaBusy = "true";
    const value = await call(name, args(), { onprogress });
    if (target && value !== null) each(target, (place) => { place.textContent = value; });
    tell("done", value);
  } catch (error) {
    if (tell("error", error)) reportError(error);
  } finally {
    element.ariaBusy = null;
  }
}

if (!shared.isListening) {
  shared.isListening = true;
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("form[data-call]")) return;
    event.preventDefault();
    trigger(form, () => getFormValues(form, event.submitter));
  });
  document.addEventListener("click", (event) => {
    const element = event.target.closest("[data-call]:not(form)");
    if (!element) return;
    event.preventDefault();
    trigger(element, () => JSON.parse(element.dataset.args ?? "{}"));
  });
}
