// Charts on one axis of time: a crosshair and a zoom that they share, bands of faults and marks of transitions on all.

const slot = first.series.slot_ms / 1000;
const slots = Math.max(...lanes.map((lane) => lane.series.offered.length));
const times = Array.from({ length: slots }, (_, number) => number * slot);
const end = slots * slot;
const perSecond = (counts) => counts.map((count) => count / slot);
const filled = (values) => times.map((_, number) => (number < values.length ? values[number] : null));

/// What is shown: lanes that are switched on, the lane of the charts of one lane, and the choices of two charts.
const view = { lanes: lanes.map(() => true), lane: lanes.length - 1, latency: "p99_ms", load: "in_flight", from: 0, to: end, at: null };
const charts = [];

/// One line for each lane that is switched on.
const ofLanes = (values) => lanes.map((lane, index) => ({ label: lane.lane, ...laneStyle(index), values: values(lane.series), lane: index }));

/// The limits on what is in flight, of lanes that have any.
const limits = () => (view.load !== "in_flight" ? [] : lanes.map((lane, index) => [lane, index]).filter(([lane]) => lane.series.limit?.length).map(([lane, index]) => (
  { label: `${lane.lane}: limit`, ...laneStyle(index), dash: [1, 4], values: lane.series.limit, lane: index })));

/// What each chart shows: its lines, made anew whenever the view changes.
const CHARTS = [
  {
    id: "goodput", title: "Offered load and goodput", unit: "/s",
    lines: () => [{ label: "offered", colour: "offered", dash: [2, 3], values: perSecond(first.series.offered) }, ...ofLanes((series) => perSecond(series.good))],
    means: "Offered: requests by when users sent them. Goodput: the upstream's own good answers, by when they came.",
  },
  {
    id: "latency", title: "Latency of good answers", unit: "ms", choice: ["latency", "Percentile", [["p50_ms", "p50"], ["p95_ms", "p95"], ["p99_ms", "p99"]]],
    lines: () => ofLanes((series) => series[view.latency]),
    means: "A percentile over the good answers that came in each slot, to 1 %. A gap is a slot without a good answer.",
  },
  {
    id: "got", title: "What users got", unit: "/s", ofLane: true, stacked: true,
    lines: () => GOT.map(([key, label]) => ({ label, colour: `got-${key}`, values: perSecond(lanes[view.lane].series[key]) })),
    means: "Answers by when they came, one on the other. Good: the upstream's own. Degraded: of the fallback ladder. Refused: the filter's refusals. Failed: errors, and clients that went away.",
  },
  {
    id: "refusals", title: "Refusals by reason", unit: "/s", ofLane: true,
    lines: () => Object.entries(lanes[view.lane].series.refusals).map(([reason, counts], index) => ({ label: reason, colour: `lane-${(index + 1) % 8}`, dash: [[], [8, 4], [2, 3], [10, 3, 2, 3]][index % 4], values: perSecond(counts) })),
    means: "Answers of the filter in the upstream's place, refusals and degraded ones, by the reason in x-seawall-reason.",
  },
  {
    id: "upstream", title: "Load on the upstream", unit: "/s",
    lines: () => ofLanes((series) => perSecond(series.reached_upstream)),
    means: "Attempts that reached the upstream, retries and hedges among them.",
  },
  {
    id: "in-flight", title: "In flight", unit: "", choice: ["load", "Where", [["in_flight", "at the upstream"], ["waiting", "users who wait"]]],
    lines: () => [...ofLanes((series) => series[view.load]), ...limits()],
    means: "The most at one time in each slot. At the upstream: attempts that it has, also those that nobody waits for any more. Limit: how many may be there by limits and bulkheads of the policy, over all Envoys and upstreams that have one. Users who wait: requests without an answer yet.",
  },
];

const visible = (line) => line.lane === undefined || view.lanes[line.lane];

/// What uPlot draws for these lines: stacked ones as sums from the first on.
function data(chart) {
  const sums = times.map(() => 0);
  const columns = chart.lines.map((line) => {
    const values = filled(line.values);
    return chart.stacked ? values.map((value, number) => (sums[number] += value || 0)) : values;
  });
  return [times, ...columns];
}

/// Bands behind the lines, from when to when something was wrong.
const bands = [
  ...report.faults.map((fault) => [fault.at / 1e9, (fault.at + fault.length) / 1e9, fault.kind.replace("_", " ")]),
  ...(report.recorded_outcomes ? report.outages || [] : []).map((outage) => [outage.from_us / 1e6, outage.to_us / 1e6, "outage"]),
];

function drawBands(plot) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
  for (const [from, to, what] of bands) {
    const [left, right] = [plot.valToPos(from, "x", true), plot.valToPos(to, "x", true)];
    ctx.fillStyle = colour("band");
    ctx.fillRect(left, bbox.top, Math.max(right - left, 1), bbox.height);
    ctx.strokeStyle = colour("band-edge");
    ctx.setLineDash([4, 4]);
    ctx.strokeRect(left, bbox.top - 2, Math.max(right - left, 1), bbox.height + 4);
    // Not where it would stand beyond its band.
    if (ctx.measureText(what).width + 12 < right - left) {
      ctx.fillStyle = colour("soft");
      ctx.fillText(what, Math.max(left, bbox.left) + 6, bbox.top + bbox.height - 7);
    }
  }
  ctx.restore();
}

/// Transitions of the lanes that are switched on: a triangle opens, a diamond is half open, a dot closes.
function drawMarks(plot) {
  const { ctx, bbox } = plot;
  const size = 4 * devicePixelRatio;
  ctx.save();
  for (const [index, lane] of lanes.entries()) {
    if (!view.lanes[index]) continue;
    for (const made of lane.transitions) {
      const x = plot.valToPos(made.at_ms / 1000, "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      const state = made.change.split("-> ")[1];
      const y = bbox.top - size - 2;
      ctx.fillStyle = ctx.strokeStyle = colour(state === "open" ? "open" : state === "closed" ? "closed" : "half-open");
      ctx.beginPath();
      if (state === "open") {
        ctx.moveTo(x - size, y - size); ctx.lineTo(x + size, y - size); ctx.lineTo(x, y + size);
      } else if (state === "closed") {
        ctx.arc(x, y, size * .9, 0, 2 * Math.PI);
      } else {
        ctx.moveTo(x - size, y); ctx.lineTo(x, y - size); ctx.lineTo(x + size, y); ctx.lineTo(x, y + size);
      }
      ctx.fill();
      ctx.globalAlpha = .35;
      ctx.setLineDash([2, 3]);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      ctx.globalAlpha = 1;
    }
  }
  ctx.restore();
}

function options(chart) {
  const soft = () => colour("soft");
  const axis = { stroke: soft, grid: { stroke: () => colour("grid"), width: 1 }, ticks: { stroke: () => colour("grid"), width: 1, size: 5 }, font: "12px system-ui, sans-serif" };
  const paths = uPlot.paths.stepped({ align: 1 });
  const series = chart.lines.map((line) => ({
    label: line.label, show: visible(line), scale: "y", width: chart.stacked ? 0 : 1.75, dash: line.dash, paths, points: { show: false }, spanGaps: false,
    stroke: () => colour(line.colour), fill: chart.stacked ? () => colour(line.colour) : undefined,
  }));
  return {
    width: Math.max(chart.plot.clientWidth, 200), height: 190, padding: [14, 20, 0, 0], legend: { show: false },
    scales: { x: { time: false }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
    axes: [
      { ...axis, values: (_, all) => all.map((value) => `${plain(value, 3)} s`), space: 70, size: 32 },
      { ...axis, values: (_, all) => all.map((value) => plain(value, 3)), size: 58, space: 34 },
    ],
    series: [{}, ...series],
    bands: chart.stacked ? chart.lines.slice(1).map((_, number) => ({ series: [number + 2, number + 1] })) : undefined,
    cursor: { bind: { dblclick: () => () => zoomed(0, end) }, y: false, points: { show: false }, sync: { key: "time", setSeries: false, scales: ["x", null] }, drag: { x: true, y: false, setScale: true } },
    hooks: {
      drawClear: [drawBands], draw: [drawMarks],
      setCursor: [(plot) => crosshair(plot.cursor.left < 0 ? null : plot.cursor.idx)],
      setScale: [(plot, key) => key === "x" && zoomed(plot.scales.x.min, plot.scales.x.max)],
    },
  };
}

/// Makes a chart's plot anew.
function draw(chart) {
  chart.uplot?.destroy();
  chart.lines = chart.spec.lines();
  const none = chart.lines.length === 0;
  chart.empty.hidden = !none;
  chart.plot.hidden = none;
  chart.uplot = none ? null : new uPlot(options(chart), data(chart), chart.plot);
  chart.uplot?.setScale("x", { min: view.from, max: view.to });
  chart.marks.replaceChildren(...chart.lines.filter(visible).map((line) => {
    line.out = make("b", {}, "");
    const swatch = make("span", { class: chart.stacked ? "swatch area" : "swatch", style: `border-color:var(--${line.colour});border-top-style:${line.dash?.length ? "dashed" : "solid"}` });
    return make("li", {}, swatch, line.label, line.out);
  }));
  if (chart.table.open) fill(chart);
}

/// The crosshair stands at a slot: every chart says what it shows there.
function crosshair(at) {
  view.at = at;
  for (const chart of charts) {
    const told = chart.lines.filter(visible).map((line) => {
      const value = at == null ? null : line.values[at];
      line.out.textContent = at == null ? "" : shown(value, chart.spec.unit);
      return `${line.label} ${value == null ? "none" : shown(value, chart.spec.unit)}`;
    });
    const now = at == null ? Math.round(view.from / slot) : at;
    chart.plot.setAttribute("aria-valuenow", now);
    chart.plot.setAttribute("aria-valuetext", at == null ? "no time chosen" : `${seconds(times[at])}: ${told.join(", ")}`);
  }
  status();
}

function status() {
  const whole = view.from <= 0 && view.to >= end;
  const range = whole ? `Shown: the whole run, ${seconds(0)} to ${seconds(end)}` : `Shown: ${seconds(view.from)} to ${seconds(view.to)}`;
  byId("status").firstChild.textContent = `${range}, in slots of ${seconds(slot)}. `;
  byId("at").textContent = view.at == null ? "" : `Crosshair at ${seconds(times[view.at])}.`;
}

/// One chart was zoomed: all are.
function zoomed(from, to) {
  if (from == null || (from === view.from && to === view.to)) return;
  [view.from, view.to] = [from, to];
  for (const { uplot } of charts) {
    if (uplot && (uplot.scales.x.min !== from || uplot.scales.x.max !== to)) uplot.setScale("x", { min: from, max: to });
  }
  status();
}

/// Zooms by a factor around the crosshair, or around the middle.
function zoom(factor) {
  const length = Math.min(end, Math.max((view.to - view.from) * factor, 4 * slot));
  const inside = view.at != null && times[view.at] >= view.from && times[view.at] <= view.to;
  const centre = inside ? times[view.at] : (view.from + view.to) / 2;
  const part = (centre - view.from) / (view.to - view.from);
  const from = Math.min(Math.max(centre - part * length, 0), end - length);
  zoomed(from, from + length);
}

/// Moves the crosshair to a slot, and what is shown with it.
function move(at) {
  at = Math.min(Math.max(at, 0), slots - 1);
  const length = view.to - view.from;
  if (times[at] < view.from) zoomed(times[at], times[at] + length);
  if (times[at] > view.to) zoomed(times[at] - length, times[at]);
  for (const { uplot } of charts) uplot?.setCursor({ left: uplot.valToPos(times[at], "x"), top: 1 }, false, false);
  crosshair(at);
}

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const at = view.at ?? Math.round((view.from + view.to) / 2 / slot);
  const step = event.shiftKey ? 10 : 1;
  const acts = {
    ArrowLeft: () => move(at - step), ArrowDown: () => move(at - step), ArrowRight: () => move(at + step), ArrowUp: () => move(at + step),
    PageDown: () => move(at - 10), PageUp: () => move(at + 10), Home: () => move(Math.ceil(view.from / slot)), End: () => move(Math.floor(view.to / slot)),
    "+": () => zoom(.5), "=": () => zoom(.5), "-": () => zoom(2), _: () => zoom(2), 0: () => zoomed(0, end),
  };
  const act = acts[event.key];
  if (act) {
    event.preventDefault();
    act();
  }
}

/// The data behind a chart, in the span that is shown when it is opened.
function fill(chart) {
  const shownLines = chart.lines.filter(visible);
  const rows = times.map((time, number) => [time, number]).filter(([time]) => time + slot > view.from && time <= view.to);
  const cells = rows.map(([time, number]) => [seconds(time), ...shownLines.map((line) => shown(line.values[number], chart.spec.unit))]);
  chart.table.lastChild.replaceWith(table(`${chart.spec.title}, ${seconds(view.from)} to ${seconds(view.to)}`, ["From", ...shownLines.map((line) => line.label)], cells, { tall: true }));
}

function choice(spec) {
  const [of, label, all] = spec.choice;
  const inputs = all.map(([value, text]) => make("label", {}, make("input", { type: "radio", name: spec.id, value, checked: view[of] === value, onchange: () => { view[of] = value; draw(charts.find((chart) => chart.spec === spec)); crosshair(view.at); } }), text));
  return make("fieldset", {}, make("legend", {}, label), ...inputs);
}

function controls() {
  const redraw = () => { charts.forEach(draw); crosshair(view.at); };
  const box = (lane, index) => make("label", {},
    make("input", { type: "checkbox", checked: true, onchange: (event) => { view.lanes[index] = event.target.checked; redraw(); } }),
    make("span", { class: "swatch", style: `border-color:var(--${laneStyle(index).colour});border-top-style:${laneStyle(index).dash.length ? "dashed" : "solid"}` }), lane.lane);
  const pick = make("select", { id: "lane", onchange: (event) => { view.lane = Number(event.target.value); redraw(); charts.forEach((chart) => { if (chart.of) chart.of.textContent = of(chart.spec); }); } },
    ...lanes.map((lane, index) => make("option", { value: index, selected: index === view.lane }, lane.lane)));
  const button = (text, act) => make("button", { type: "button", onclick: act }, text);
  byId("controls").append(
    make("fieldset", {}, make("legend", {}, "Lanes"), ...lanes.map(box)),
    lanes.length > 1 ? make("label", {}, "Charts of one lane show", pick) : "",
    make("div", { class: "buttons" }, button("Zoom in", () => zoom(.5)), button("Zoom out", () => zoom(2)), button("Whole run", () => zoomed(0, end))),
  );
  byId("status").append("", make("span", { id: "at", "aria-live": "off" }));
  byId("keys").append(make("ul", {}, ...[
    "Drag over a chart to zoom in; a double click shows the whole run again.",
    "With a chart in focus: arrows move the crosshair (with Shift by ten), + and - zoom, 0 shows the whole run, Home and End go to its edges.",
    "A shaded band is a time in which something was wrong. Marks above: a triangle is a breaker that opens, a diamond one that is half open, a dot one that closes.",
    "A value is of the slot that begins at the crosshair. “Data” under a chart has its figures as a table.",
  ].map((text) => make("li", {}, text))));
}

const of = (spec) => (spec.ofLane && lanes.length > 1 ? ` – “${lanes[view.lane].lane}”` : "");

function chartsOverTime() {
  controls();
  for (const spec of CHARTS) {
    const chart = { spec, stacked: spec.stacked, lines: [] };
    chart.plot = make("div", { class: "plot", tabindex: "0", role: "slider", "aria-label": `${spec.title} over time`, "aria-valuemin": 0, "aria-valuemax": slots - 1, onkeydown: key });
    chart.marks = make("ul", { class: "readout" });
    chart.empty = make("p", { class: "empty", hidden: true }, "Nothing to show in this lane.");
    chart.of = spec.ofLane ? make("small", {}, of(spec)) : null;
    chart.table = make("details", { ontoggle: () => chart.table.open && fill(chart) }, make("summary", {}, "Data"), make("div"));
    const unit = { "/s": "per second", ms: "milliseconds" }[spec.unit] || "count";
    byId("charts").append(make("article", { class: "card chart", id: `chart-${spec.id}` },
      make("div", { class: "head" }, make("h3", {}, spec.title, " ", make("small", {}, unit), chart.of), spec.choice ? choice(spec) : ""),
      chart.marks, chart.plot, chart.empty,
      make("div", { class: "more" }, make("details", {}, make("summary", {}, "Definition"), make("p", {}, spec.means)), chart.table)));
    charts.push(chart);
    draw(chart);
    new ResizeObserver(() => chart.uplot?.setSize({ width: Math.max(chart.plot.clientWidth, 200), height: 190 })).observe(chart.plot);
  }
  crosshair(null);
}
