"use strict";
(() => {
  let data = null;
  const root = document.documentElement;
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const whole = (value) => value.toLocaleString("en-US");
  const steps = (first, last) => (first === last ? `step ${whole(first)}` : `steps ${whole(first)}–${whole(last)}`);
  const positive = (values) => values.map((value) => (value === undefined || value > 0 ? value : null));

  function compact(value) {
    if (value === null || value === undefined) return "not observed";
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-4 || size >= 1e6)) return value.toExponential(2).replace(/\.?0+e/, "e");
    return String(Number(value.toPrecision(4)));
  }

  function percent(rate) {
    const value = 100 * rate;
    return `${value >= 10 ? value.toFixed(0) : Number(value.toPrecision(2))} %`;
  }

  // ---- curves -------------------------------------------------------------------------------

  function depth(share) {
    const part = Math.min(share * 2, 1.999);
    const ends = [Math.floor(part), Math.floor(part) + 1].map((i) => {
      const hex = colour(`--depth-${i}`);
      return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    });
    return `rgb(${ends[0].map((low, i) => Math.round(low + (ends[1][i] - low) * (part % 1))).join(" ")})`;
  }

  function flow(field) {
    const middles = data.columns.map(([first, last]) => (first + last) / 2);
    const drawn = data.layers.filter((layer) => layer[field].length);
    return {
      log: true,
      many: drawn.length > 6,
      tables: [[middles, ...drawn.map((layer) => layer[field])]],
      series: drawn.map((layer, i) => ({
        label: layer.name,
        colour: () => depth(drawn.length > 1 ? i / (drawn.length - 1) : 0),
      })),
    };
  }

  const named = (label, name, more = {}) => ({ label, colour: () => colour(name), ...more });
  const afterEpoch = { points: true, spanGaps: true };
  const charts = {
    loss: (windows, epochs) => ({
      tables: [
        [windows.step, windows.loss, windows.loss_least, windows.loss_greatest],
        [epochs.step, epochs.validation_loss],
      ],
      series: [
        named("training", "--training"),
        named("least", "--training", { width: 0, quiet: true }),
        named("greatest", "--training", { width: 0, quiet: true }),
        named("validation", "--validation", afterEpoch),
      ],
      band: [3, 2],
    }),
    score: (_, epochs) => ({
      tables: [[epochs.step, epochs.validation_score]],
      series: [named(`validation ${data.metric}`, "--score", afterEpoch)],
    }),
    alive: (_, epochs) => ({
      tables: [[epochs.step, epochs.units_alive, epochs.units]],
      series: [named("alive", "--silent", afterEpoch), named("all units", "--muted", { dash: [4, 4] })],
      range: (plot, low, high) => {
        const margin = Math.max(1, 0.08 * (high - low));
        return [Math.max(0, low - margin), high + margin];
      },
    }),
    rate: (windows) => ({
      tables: [[windows.step, windows.learning_rate]],
      series: [named("learning rate", "--training")],
    }),
    gradient: () => flow("gradient_norm"),
    update: () => flow("update_ratio"),
  };

  function specification(name) {
    if (charts[name]) return charts[name](data.window_curves, data.epoch_curves);
    const metric = data.metrics[Number(name.slice("metric-".length))];
    return { tables: [[metric.step, metric.value]], series: [named(metric.name, "--score", afterEpoch)] };
  }

  function fillKey(key, spec, values) {
    const swatch = (paint, label, kind = "") => {
      const entry = document.createElement("span");
      const mark = document.createElement("i");
      mark.className = kind;
      mark.style.background = paint;
      entry.append(mark, label);
      return entry;
    };
    const shown = spec.series.filter((one, i) => !one.quiet && values[i].some((v) => v !== null && v !== undefined));
    if (spec.many) {
      const stops = [0, 0.25, 0.5, 0.75, 1].map(depth);
      key.replaceChildren(swatch(`linear-gradient(90deg, ${stops.join(", ")})`, "first layer to last", "depth"));
    } else {
      key.replaceChildren(...(shown.length > 1 ? shown : []).map((one) => swatch(one.colour(), one.label)));
    }
  }

  function readOut(plot, spec, focused) {
    const at = plot.cursor.idx;
    if (at === null || at === undefined) return "\u00a0";
    const value = (index) => {
      const place = plot.cursor.idxs[index];
      return place === null || place === undefined ? null : plot.data[index][place];
    };
    const said = [`step ${whole(Math.round(plot.data[0][at]))}`];
    spec.series.forEach((one, i) => {
      if (one.quiet || (spec.many && i + 1 !== focused)) return;
      const range = spec.band && i === 0 ? ` (${compact(value(2))}–${compact(value(3))})` : "";
      said.push(`${one.label} ${compact(value(i + 1))}${range}`);
    });
    return said.join(" · ");
  }

  // ---- what happened when: marked on the curves, and lit together with what tells of it ----------

  /** Put a line at the step of each event, and labels where there is room: near ones share one. */
  function placeMarkers(plot, layer) {
    const labelled = layer.hasAttribute("role");
    const made = [];
    let chip = null;
    data.events.forEach((event) => {
      const x = plot.valToPos(event.step, "x");
      if (!Number.isFinite(x) || x < -1 || x > plot.over.clientWidth + 1) return;
      const line = document.createElement("i");
      line.className = `marker ${event.kind}`;
      line.dataset.event = event.id;
      const top = labelled ? 18 : plot.over.offsetTop;
      Object.assign(line.style, { left: `${plot.over.offsetLeft + x}px`, top: `${top}px`, height: `${plot.over.offsetTop + plot.over.clientHeight - top}px` });
      made.push(line);
      if (!labelled) return;
      if (chip && x - chip.x < 74) {
        chip.events.push(event);
        return;
      }
      chip = { x, events: [event], element: document.createElement("button") };
      made.push(chip.element);
      chip.element.shared = chip;
    });
    made.forEach((element) => { if (element.shared) label(element, plot); });
    const focused = document.activeElement?.dataset.event;
    const had = layer.contains(document.activeElement);
    layer.replaceChildren(...made);
    if (had) layer.querySelector(`.chip[data-event="${focused}"]`)?.focus();
    light();
  }

  function label(button, plot) {
    const { x, events } = button.shared;
    const more = events.length - 1;
    button.type = "button";
    button.className = "chip";
    button.dataset.event = events.map((event) => event.id).join(" ");
    button.textContent = events[0].label + (more ? ` +${more}` : "");
    const told = events.map((event) => `step ${whole(event.step)}, ${event.label}: ${event.said}`).join("; ");
    button.title = told;
    button.setAttribute("aria-label", told);
    const left = plot.over.offsetLeft + x - 4;
    if (x > plot.over.clientWidth - 74) button.style.right = "0";
    else button.style.left = `${Math.max(0, left)}px`;
  }

  let pinned = "";
  let touched = "";

  /** Light everything that belongs to the events that are pointed at, focused or pinned. */
  function light() {
    const lit = new Set(`${pinned} ${touched}`.split(" ").filter(Boolean));
    document.querySelectorAll("[data-event]").forEach((element) => {
      const is = element.dataset.event.split(" ").some((id) => lit.has(id));
      element.classList.toggle("lit", is);
      if (element.matches("button.code")) element.setAttribute("aria-pressed", String(pinned.split(" ").includes(element.dataset.event)));
    });
  }

  const eventOf = (target) => target.closest?.("[data-event]")?.dataset.event ?? "";
  const touch = (event) => { if (eventOf(event.target) !== touched) { touched = eventOf(event.target); light(); } };
  document.addEventListener("pointerover", touch);
  document.addEventListener("focusin", touch);
  document.addEventListener("focusout", () => { touched = ""; light(); });

  function openAt(element) {
    for (let at = element; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
  }

  document.addEventListener("click", (event) => {
    const copied = event.target.closest?.("button.copy");
    if (copied) copy(copied);
    const link = event.target.closest?.("a[href^='#']");
    const goal = link && document.getElementById(link.getAttribute("href").slice(1));
    if (goal) openAt(goal);
    const button = event.target.closest?.("button[data-event]");
    if (!button) return;
    pinned = pinned === button.dataset.event ? "" : button.dataset.event;
    light();
    if (button.matches(".chip") && pinned) {
      const told = document.querySelector(`.events a[data-event="${pinned.split(" ")[0]}"]`) ?? document.querySelector("#findings");
      told.scrollIntoView({ block: "nearest" });
    }
  });

  async function copy(button) {
    let done = true;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
    } catch {
      const range = document.createRange();
      range.selectNodeContents(button.previousElementSibling);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      done = document.execCommand("copy");
    }
    button.textContent = done ? "copied" : "selected";
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  }

  // ---- charts -------------------------------------------------------------------------------

  function options(figure, spec, log, state) {
    const axis = { stroke: colour("--muted"), font: "12px system-ui, sans-serif", grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    const labels = (plot, splits) => splits.map((split) => (split === null ? "" : compact(split)));
    const readout = figure.querySelector(".readout");
    const refresh = (plot) => { readout.textContent = readOut(plot, spec, state.focused); };
    const series = spec.series.map((one) => ({
      label: one.label, stroke: one.colour(), width: one.width ?? 2, dash: one.dash, spanGaps: one.spanGaps ?? false,
      points: { show: one.width === 0 ? false : undefined, size: 5 },
    }));
    return {
      width: state.box.clientWidth, height: state.box.clientHeight, legend: { show: false },
      scales: { x: { time: false }, y: { distr: log ? 3 : 1, range: spec.range } },
      axes: [{ ...axis, size: 28, values: labels, label: "step", labelSize: 18, labelFont: axis.font }, { ...axis, size: 52, values: labels }],
      padding: [data.events.length && state.markers.hasAttribute("role") ? 26 : 12, 16, 0, 0],
      series: [{}, ...series],
      bands: spec.band ? [{ series: spec.band, fill: colour("--range") }] : [],
      cursor: { sync: { key: "steps", setSeries: false }, focus: { prox: spec.many ? 1e6 : -1 }, points: { size: 7, one: spec.many }, y: false },
      focus: { alpha: 0.25 },
      hooks: {
        setCursor: [refresh],
        setSeries: [(plot, index) => { state.focused = index; refresh(plot); }],
        draw: [(plot) => placeMarkers(plot, state.markers)],
      },
    };
  }

  function draw(figure) {
    const box = figure.querySelector(".plot");
    const button = figure.querySelector("button");
    const state = { box, plot: null, focused: null, markers: figure.querySelector(".markers") };
    const redraw = () => {
      const spec = specification(figure.dataset.chart);
      const wholeRun = [[1, Math.max(2, data.steps, ...data.epoch_curves.step, ...data.events.map((event) => event.step))]];
      const log = spec.log || (button !== null && button.getAttribute("aria-pressed") === "true");
      const [x, ...values] = uPlot.join([...spec.tables, wholeRun]);
      const table = [x, ...(log ? values.map(positive) : values)];
      if (state.plot) state.plot.destroy();
      fillKey(figure.querySelector(".key"), spec, values);
      state.plot = new uPlot(options(figure, spec, log, state), table, box);
    };
    if (button) {
      const { tables } = specification(figure.dataset.chart);
      const sizes = tables.flatMap((table) => table.slice(1).flat()).filter((value) => value > 0);
      button.hidden = false;
      button.setAttribute("aria-pressed", String(Math.max(...sizes) > 100 * Math.min(...sizes)));
      button.addEventListener("click", () => {
        button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
        redraw();
      });
    }
    box.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1, Home: -1e9, End: 1e9 }[event.key];
      if (!move) return;
      event.preventDefault();
      const x = state.plot.data[0];
      const at = Math.max(0, Math.min(x.length - 1, (state.plot.cursor.idx ?? (move > 0 ? -1 : x.length)) + move));
      state.plot.setCursor({ left: state.plot.valToPos(x[at], "x"), top: state.plot.over.clientHeight / 2 });
    });
    const sizes = new ResizeObserver(() => {
      if (box.clientWidth !== state.plot.width) state.plot.setSize({ width: box.clientWidth, height: box.clientHeight });
    });
    redraw();
    sizes.observe(box);
    return { redraw, end: () => { sizes.disconnect(); state.plot.destroy(); } };
  }

  // ---- heat maps ----------------------------------------------------------------------------

  async function readCells(image) {
    const bytes = Uint8Array.from(atob(image.src.slice(image.src.indexOf(",") + 1)), (c) => c.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    const width = view.getUint32(16);
    const parts = [];
    for (let at = 8; at < bytes.length; at += 12 + view.getUint32(at)) {
      if (String.fromCharCode(...bytes.subarray(at + 4, at + 8)) === "IDAT") parts.push(bytes.subarray(at + 8, at + 8 + view.getUint32(at)));
    }
    const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
    const lines = new Uint8Array(await new Response(stream).arrayBuffer());
    return { width, height: view.getUint32(20), at: (row, column) => lines[row * (width + 1) + 1 + column] };
  }

  function unitsOf(layer, row) {
    if (layer.units_per_row === 1) return `unit ${layer.order[row]}`;
    const last = Math.min((row + 1) * layer.units_per_row, layer.units);
    const first = row * layer.units_per_row + 1;
    const from = `of ${whole(layer.units)} from the top`;
    if (first === last) return `1 unit (place ${whole(first)} ${from})`;
    return `${last - first + 1} units (places ${whole(first)}–${whole(last)} ${from})`;
  }

  function describe(layer, cells, row, column) {
    const [start, end] = [data.columns[0][0] - 0.5, data.columns[data.columns.length - 1][1] + 0.5];
    const step = start + ((end - start) * (column + 0.5)) / cells.width;
    const place = data.columns.findIndex(([first, last]) => step >= first - 0.5 && step <= last + 0.5);
    const level = cells.at(row, column);
    if (place < 0) return `${unitsOf(layer, row)} · near step ${whole(Math.round(step))} · not observed`;
    const where = `${unitsOf(layer, row)} · ${steps(...data.columns[place])}`;
    if (level === 0) return `${where} · not observed`;
    const rows = `n = ${whole(data.row_counts[layer.rows][place])} rows`;
    if (level === 1) return `${where} · ${layer.saturates ? "saturated throughout" : "never fired"} · ${rows}`;
    const rate = percent(((level - 2) / data.levels) ** 2);
    const fires = layer.saturates ? "not saturated" : "firing";
    return `${where} · ${fires} on about ${rate} of values · ${rows}`;
  }

  const unitsText = (units) => (units.length === 1 ? `unit ${units[0]}` : `units ${units[0]}–${units[units.length - 1]}`);

  /** What the certificate of a dead unit says. */
  function certificate(layer, unit) {
    const all = layer.certificates;
    const at = all.unit.indexOf(unit);
    if (at < 0) return "its certificate is not on this page: see relume report --json";
    const [last, since, change] = [all.last_fired[at], all.first_silent[at], all.row_change[at]];
    const said = [last === null ? "not once seen to fire" : `last fired at step ${whole(last)}`];
    if (since !== null) said.push(`silent since step ${whole(since)}`);
    said.push(data.causes[all.cause[at]]);
    if (change !== null) said.push(`its weights changed by ${compact(change)} times their norm`);
    return said.join(" · ");
  }

  function describeCell(layer, pixels, row, column) {
    const place = row * layer.columns + column;
    const units = [];
    for (let unit = place * layer.per_cell; unit < Math.min(layer.units, (place + 1) * layer.per_cell); unit += 1) units.push(unit);
    if (!units.length) return "no unit here";
    const level = pixels.at(row * layer.side, column * layer.side + Math.floor((layer.side - 1) / 2));
    const rows = `n = ${whole(layer.rows)} rows`;
    if (level === 1 && units.length === 1) return `${unitsText(units)} · ${layer.word} · ${certificate(layer, units[0])} · ${rows}`;
    if (level === 1) return `${unitsText(units)} · all ${units.length} ${layer.word} · ${rows}`;
    if (level === 3) return `${unitsText(units)} · not observed`;
    const rate = percent(((level - 4) / data.cell_levels) ** 2);
    const idle = layer.idle ? parseInt(layer.idle[place], 36) : 0;
    const dying = units.some((unit) => layer.dying.includes(unit)) ? " · dying: its rate is nearly zero and falling" : "";
    const some = idle ? ` · ${idle === 35 ? "35 or more" : idle} of ${units.length} ${layer.word}` : "";
    return `${unitsText(units)}${some} · ${layer.fires} on about ${rate} of values${dying} · ${rows}`;
  }

  /** How a picture is parted into cells, and what is said of one. */
  const kinds = {
    heat: (figure) => ({
      frame: ".frame",
      parted: (pixels) => ({ rows: pixels.height, columns: pixels.width, side: 1 }),
      describe: (pixels, row, column) => describe(data.layers[Number(figure.dataset.layer)], pixels, row, column),
    }),
    cells: (figure) => ({
      frame: ".grid",
      parted: (pixels) => {
        const { side, columns } = data.cells[Number(figure.dataset.cells)];
        return { rows: Math.ceil(pixels.height / side), columns, side };
      },
      describe: (pixels, row, column) => describeCell(data.cells[Number(figure.dataset.cells)], pixels, row, column),
    }),
  };

  function explore(figure, kind) {
    const frame = figure.querySelector(kind.frame);
    const image = frame.querySelector("img");
    const mark = figure.querySelector(".cell");
    const readout = figure.querySelector(".readout");
    const place = { row: 0, column: -1 };
    let pixels = null;
    const read = async () => {
      if (pixels?.source !== image.src) pixels = { source: image.src, ...(await readCells(image)) };
      return kind.parted(pixels);
    };
    const show = async () => {
      const { rows, columns, side } = await read();
      place.row = Math.max(0, Math.min(rows - 1, place.row));
      place.column = Math.max(0, Math.min(columns - 1, place.column));
      const [wide, high] = [pixels.width / side, pixels.height / side];
      const box = { left: place.column / wide, top: place.row / high, width: 1 / wide, height: 1 / high };
      for (const [edge, share] of Object.entries(box)) mark.style[edge] = `${100 * share}%`;
      mark.hidden = false;
      readout.textContent = kind.describe(pixels, place.row, place.column);
    };
    const point = async (event) => {
      const { side } = await read();
      const box = image.getBoundingClientRect();
      place.column = Math.floor((((event.clientX - box.left) / box.width) * pixels.width) / side);
      place.row = Math.floor((((event.clientY - box.top) / box.height) * pixels.height) / side);
      show();
    };
    image.addEventListener("pointermove", point);
    image.addEventListener("pointerdown", point);
    image.addEventListener("pointerleave", () => { mark.hidden = true; });
    frame.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (!move) return;
      event.preventDefault();
      place.row += move[0];
      place.column += move[1];
      show();
    });
    frame.addEventListener("blur", () => { mark.hidden = true; });
  }

  // ---- the page as it stands ------------------------------------------------------------------

  const drawn = new Map(); // from the figure of a chart to what redraws and what ends it
  const explored = new WeakSet();
  const redrawAll = () => drawn.forEach((drawing) => drawing.redraw());

  /** Draw every figure of the page from its data; called again, those that are new or changed. */
  function show(given) {
    data = given;
    drawn.forEach((drawing, figure) => {
      if (figure.isConnected) drawing.redraw();
      else { drawing.end(); drawn.delete(figure); }
    });
    document.querySelectorAll(".chart").forEach((figure) => {
      if (figure.querySelector(".plot") && !drawn.has(figure)) drawn.set(figure, draw(figure));
    });
    for (const [name, kind] of Object.entries(kinds)) {
      document.querySelectorAll(`figure.${name}`).forEach((figure) => {
        if (!explored.has(figure)) { explored.add(figure); explore(figure, kind(figure)); }
      });
    }
    document.querySelectorAll("button.copy").forEach((button) => { button.hidden = false; });
    light();
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);
  addEventListener("beforeprint", () => {
    root.classList.add("printing");
    document.querySelectorAll("details:not([open])").forEach((details) => { details.open = details.dataset.shut = true; });
    redrawAll();
  });
  addEventListener("afterprint", () => {
    root.classList.remove("printing");
    document.querySelectorAll("details[data-shut]").forEach((details) => { details.open = false; delete details.dataset.shut; });
    redrawAll();
  });
  const visit = () => { const goal = document.getElementById(location.hash.slice(1)); if (goal) openAt(goal); };
  addEventListener("hashchange", visit);
  show(JSON.parse(document.getElementById("data").textContent));
  visit();
  window.relume = { show };
})();
