"use strict";
(() => {
  const first = JSON.parse(document.getElementById("live-state").textContent);
  const main = document.querySelector("main");
  const bar = document.getElementById("live-bar");
  const said = document.getElementById("live-said");
  const more = document.getElementById("live-more");
  const now = { place: first.place, status: first.status, steps: first.steps, note: first.note, at: Date.now(), isLost: false };

  // ---- what the server sent, beside what the page's scripts and the reader made of it ----------

  const HEADER = "header";
  const sent = new Map(); // by name: a part as it was sent; nothing else ever changes these
  const onPage = (name) => (name === HEADER ? document.querySelector("body > header") : [...main.children].find((part) => nameOf(part) === name));
  const nameOf = (part) => (part.nodeName === "HEADER" ? HEADER : part.id || part.getAttribute("aria-label") || part.getAttribute("aria-labelledby") || "");

  function parsed(html) {
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content.firstElementChild;
  }

  /** What tells a node from its neighbours of the same kind. */
  function identity(node) {
    if (node.nodeType !== Node.ELEMENT_NODE) return "";
    const { chart, layer, key } = node.dataset;
    return node.id || chart || layer || key || node.querySelector(":scope > h3 > .code")?.textContent || "";
  }

  const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && identity(a) === identity(b);

  /** Change a live node as the server changed its own: what it left alone stays as the reader has it. */
  function patch(live, before, after) {
    if (before.isEqualNode(after)) return;
    if (before.nodeType !== Node.ELEMENT_NODE) { live.data = after.data; return; }
    for (const name of new Set([...before.getAttributeNames(), ...after.getAttributeNames()])) {
      if (before.getAttribute(name) === after.getAttribute(name)) continue;
      if (after.hasAttribute(name)) live.setAttribute(name, after.getAttribute(name));
      else live.removeAttribute(name);
    }
    patchChildren(live, [...live.childNodes], [...before.childNodes], [...after.childNodes]);
  }

  function patchChildren(parent, live, before, after) {
    if (before.length === after.length && before.every((node, i) => node.isEqualNode(after[i]))) return;
    if (live.length !== before.length || live.some((node, i) => node.nodeName !== before[i].nodeName)) {
      replace(parent, live, after, null);
      return;
    }
    const least = Math.min(before.length, after.length);
    let head = 0;
    let tail = 0;
    while (head < least && alike(before[head], after[head])) head += 1;
    while (tail < least - head && alike(before.at(-1 - tail), after.at(-1 - tail))) tail += 1;
    for (let i = 0; i < head; i += 1) patch(live[i], before[i], after[i]);
    for (let i = 1; i <= tail; i += 1) patch(live.at(-i), before.at(-i), after.at(-i));
    replace(parent, live.slice(head, live.length - tail), after.slice(head, after.length - tail), live[live.length - tail] ?? null);
  }

  /** Put copies of nodes in the place of others, as far open and pressed as those were. */
  function replace(parent, old, after, next) {
    const copies = after.map((node) => document.importNode(node, true));
    const held = (nodes, what) => nodes.flatMap((node) => (node.nodeType === Node.ELEMENT_NODE ? [...(node.matches(what) ? [node] : []), ...node.querySelectorAll(what)] : []));
    const details = held(old, "details");
    held(copies, "details").forEach((one, i) => { if (details[i]) one.open = details[i].open; });
    const pressed = held(old, "button[aria-pressed]");
    held(copies, "button[aria-pressed]").forEach((one, i) => { if (pressed[i]) one.setAttribute("aria-pressed", pressed[i].getAttribute("aria-pressed")); });
    old.forEach((node) => node.remove());
    copies.forEach((node) => parent.insertBefore(node, next));
  }

  // ---- a change ---------------------------------------------------------------------------------

  /** Where the keyboard is: the way down from its part, to find it again if it is put anew. */
  function whereFocusIs() {
    const way = [];
    let at = document.activeElement;
    while (at && at.parentElement && at.parentElement !== main && at.parentElement !== document.body) {
      way.unshift([...at.parentElement.children].indexOf(at));
      at = at.parentElement;
    }
    return { element: document.activeElement, name: at ? nameOf(at) : "", way };
  }

  function putFocusBack({ element, name, way }) {
    if (!name || element.isConnected) return;
    const again = way.reduce((at, index) => at?.children[index], onPage(name));
    again?.focus?.({ preventScroll: true });
  }

  function putSection(name, html) {
    const after = parsed(html);
    const live = onPage(name);
    const before = sent.get(name);
    sent.set(name, after);
    if (live && before) patch(live, before, after);
    else if (live) live.replaceWith(document.importNode(after, true));
    else if (name === HEADER) main.before(document.importNode(after, true));
    else main.append(document.importNode(after, true));
  }

  function putInOrder(names) {
    [...sent.keys()].filter((name) => !names.includes(name)).forEach((name) => { onPage(name)?.remove(); sent.delete(name); });
    let next = null;
    for (const name of names.filter((one) => one !== HEADER).reverse()) {
      const part = onPage(name);
      if (part.nextElementSibling !== next) main.insertBefore(part, next);
      next = part;
    }
  }

  function apply(message) {
    if (message.steps < now.steps) { location.reload(); return; } // another training took the place
    const focus = whereFocusIs();
    Object.entries(message.changed).forEach(([name, html]) => putSection(name, html));
    putInOrder(message.order);
    putFocusBack(focus);
    if (message.data) window.relume?.show(message.data);
    Object.assign(now, { status: message.status, steps: message.steps, note: message.note, at: Date.now() });
    say();
    sayAges();
    choose();
  }

  // ---- the connection ---------------------------------------------------------------------------

  let source = null;
  let waiting = null; // what came since the last frame, drawn with the next
  let again = 0;

  function receive(event) {
    const message = JSON.parse(event.data);
    now.place = event.lastEventId;
    if (waiting) {
      waiting = { ...waiting, ...message, changed: { ...waiting.changed, ...message.changed } };
      return;
    }
    waiting = message;
    requestAnimationFrame(() => {
      const due = waiting;
      waiting = null;
      apply(due);
    });
  }

  function connect() {
    clearTimeout(again);
    source?.close();
    source = new EventSource(`${location.pathname}/events?seen=${encodeURIComponent(now.place)}`);
    source.addEventListener("change", receive);
    source.addEventListener("open", () => { now.isLost = false; say(); });
    source.addEventListener("error", () => {
      now.isLost = true;
      say();
      source.close();
      clearTimeout(again);
      again = setTimeout(connect, 1000);
    });
  }

  function disconnect() {
    clearTimeout(again);
    source?.close();
    source = null;
  }

  // ---- what the bar says ------------------------------------------------------------------------

  const ENDED = { finished: "Training ended", interrupted: "Training ended: interrupted", failed: "Training ended: failed" };
  const put = (element, text) => { if (element.textContent !== text) element.textContent = text; };

  function age(seconds) {
    const whole = Math.max(0, Math.round(seconds));
    if (whole < 60) return `${whole} s ago`;
    if (whole < 3600) return `${Math.floor(whole / 60)} min ago`;
    return whole < 86400 ? `${Math.floor(whole / 3600)} h ago` : `${Math.floor(whole / 86400)} d ago`;
  }

  function say() {
    const ended = ENDED[now.status];
    bar.dataset.state = now.isLost ? "lost" : ended ? "ended" : "live";
    put(said, now.isLost ? "Connection lost, retrying" : now.note || ended || "Live");
    const seconds = (Date.now() - now.at) / 1000;
    const quiet = seconds < 10 ? "" : ` · nothing new for ${age(seconds).replace(" ago", "")}`;
    put(more, now.steps ? `step ${now.steps.toLocaleString("en-US")}${ended || now.isLost ? "" : quiet}` : "");
  }

  function sayAges() {
    document.querySelectorAll("time[data-at]").forEach((one) => put(one, age(Date.now() / 1000 - Number(one.dataset.at))));
  }

  // ---- two of the list --------------------------------------------------------------------------

  function choose() {
    const link = document.getElementById("live-compare");
    if (!link) return;
    const boxes = [...document.querySelectorAll(".runs input")];
    const two = boxes.filter((box) => box.checked).map((box) => box.value);
    link.hidden = two.length !== 2;
    if (two.length === 2) link.href = `two/${two.join("/")}`;
    boxes.forEach((box) => { box.disabled = two.length >= 2 && !box.checked; });
  }

  document.querySelectorAll("body > header, main > section").forEach((part) => sent.set(nameOf(part), part.cloneNode(true)));
  document.addEventListener("change", choose);
  document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));
  setInterval(() => { say(); sayAges(); }, 1000);
  if (!document.hidden) connect();
  sayAges();
  choose();
})();
