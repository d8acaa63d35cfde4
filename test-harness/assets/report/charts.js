// Charts on one axis, AXIS, that show CHARTS: a crosshair and a zoom that they share.

/// What is shown: lanes that are switched on, what is on the axis, and the choices of charts.
const view = { lanes: AXIS.lanes.map(() => true), from: AXIS.from, to: AXIS.to, at: null, ...AXIS.view };
const charts = [];
const filled = (values) => AXIS.at.map((_, number) => (number < values.length ? values[number] : null));
/// The number of what stands at a place of the axis.
const numberAt = (place) => (place - AXIS.at[0]) / AXIS.step;
const nearest = (place) => Math.min(Math.max(Math.round(numberAt(place)), 0), AXIS.at.length - 1);

const visible = (line) => line.lane === undefined || view.lanes[line.lane];

/// What uPlot draws for these lines: stacked ones as sums from the first on.
function data(chart) {
  const sums = AXIS.at.map(() => 0);
  const columns = chart.lines.map((line) => {
    const values = filled(line.values);
    return chart.stacked ? values.map((value, number) => (sums[number] += value || 0)) : values;
  });
  return [AXIS.at, ...columns];
}

function options(chart) {
  const soft = () => colour("soft");
  const axis = { stroke: soft, grid: { stroke: () => colour("grid"), width: 1 }, ticks: { stroke: () => colour("grid"), width: 1, size: 5 }, font: "12px system-ui, sans-serif" };
  const series = chart.lines.map((line) => ({
    label: line.label, show: visible(line), scale: "y", width: chart.stacked ? 0 : 1.75, dash: line.dash, ...AXIS.series(line), spanGaps: false,
    stroke: () => colour(line.colour), fill: chart.stacked ? () => colour(line.colour) : undefined,
  }));
  return {
    width: Math.max(chart.plot.clientWidth, 200), height: 190, padding: [14, 20, 0, 0], legend: { show: false },
    scales: { x: { time: false }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
    axes: [
      { ...axis, values: (_, all) => all.map(AXIS.tick), size: 32, ...AXIS.ticks },
      { ...axis, values: (_, all) => all.map((value) => plain(value, 3)), size: 58, space: 34 },
    ],
    series: [{}, ...series],
    bands: chart.stacked ? chart.lines.slice(1).map((_, number) => ({ series: [number + 2, number + 1] })) : undefined,
    cursor: { bind: { dblclick: () => () => zoomed(AXIS.from, AXIS.to) }, y: false, points: { show: false }, sync: { key: "axis", setSeries: false, scales: ["x", null] }, drag: { x: true, y: false, setScale: true } },
    hooks: {
      drawClear: AXIS.behind, draw: AXIS.above,
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
    const now = at ?? nearest(view.from);
    chart.plot.setAttribute("aria-valuenow", now);
    chart.plot.setAttribute("aria-valuetext", at == null ? "nothing chosen" : `${AXIS.name(AXIS.at[at])}: ${told.join(", ")}`);
  }
  status();
}

function status() {
  const whole = view.from <= AXIS.from && view.to >= AXIS.to;
  byId("status").firstChild.textContent = `Shown: ${whole ? `${AXIS.whole}, ` : ""}${AXIS.range(view.from, view.to)}${AXIS.slots}. `;
  byId("at").textContent = view.at == null ? "" : `Crosshair at ${AXIS.name(AXIS.at[view.at])}.`;
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
  const length = Math.min(AXIS.to - AXIS.from, Math.max((view.to - view.from) * factor, 4 * AXIS.step));
  const inside = view.at != null && AXIS.at[view.at] >= view.from && AXIS.at[view.at] <= view.to;
  const centre = inside ? AXIS.at[view.at] : (view.from + view.to) / 2;
  const part = (centre - view.from) / (view.to - view.from);
  const from = Math.min(Math.max(centre - part * length, AXIS.from), AXIS.to - length);
  zoomed(from, from + length);
}

/// Moves the crosshair to a slot, and what is shown with it.
function move(at) {
  at = Math.min(Math.max(at, 0), AXIS.at.length - 1);
  const place = AXIS.at[at];
  const length = view.to - view.from;
  if (place < view.from) zoomed(place, place + length);
  if (place > view.to) zoomed(place - length, place);
  for (const { uplot } of charts) uplot?.setCursor({ left: uplot.valToPos(place, "x"), top: 1 }, false, false);
  crosshair(at);
}

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const at = view.at ?? nearest((view.from + view.to) / 2);
  const step = event.shiftKey ? 10 : 1;
  const acts = {
    ArrowLeft: () => move(at - step), ArrowDown: () => move(at - step), ArrowRight: () => move(at + step), ArrowUp: () => move(at + step),
    PageDown: () => move(at - 10), PageUp: () => move(at + 10), Home: () => move(Math.ceil(numberAt(view.from))), End: () => move(Math.floor(numberAt(view.to))),
    "+": () => zoom(.5), "=": () => zoom(.5), "-": () => zoom(2), _: () => zoom(2), 0: () => zoomed(AXIS.from, AXIS.to),
  };
  const act = acts[event.key];
  if (act) {
    event.preventDefault();
    act();
  }
}

/// The data behind a chart, of the part that is shown when it is opened.
function fill(chart) {
  const shownLines = chart.lines.filter(visible);
  const rows = AXIS.at.map((place, number) => [place, number]).filter(([place]) => place + AXIS.width > view.from && place <= view.to);
  const cells = rows.map(([place, number]) => [AXIS.name(place), ...shownLines.map((line) => shown(line.values[number], chart.spec.unit))]);
  chart.table.lastChild.replaceWith(table(`${chart.spec.title}, ${AXIS.range(view.from, view.to)}`, [AXIS.first, ...shownLines.map((line) => line.label)], cells, { tall: true }));
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
    make("span", { class: "swatch", style: `border-color:var(--${lane.colour});border-top-style:${lane.dash.length ? "dashed" : "solid"}` }), lane.label);
  const pick = make("select", { id: "lane", onchange: (event) => { view.lane = Number(event.target.value); redraw(); charts.forEach((chart) => { if (chart.of) chart.of.textContent = of(chart.spec); }); } },
    ...AXIS.lanes.map((lane, index) => make("option", { value: index, selected: index === view.lane }, lane.label)));
  const button = (text, act) => make("button", { type: "button", onclick: act }, text);
  byId("controls").append(
    make("fieldset", {}, make("legend", {}, "Lanes"), ...AXIS.lanes.map(box)),
    AXIS.lanes.length > 1 && CHARTS.some((spec) => spec.ofLane) ? make("label", {}, "Charts of one lane show", pick) : "",
    make("div", { class: "buttons" }, button("Zoom in", () => zoom(.5)), button("Zoom out", () => zoom(2)), button(AXIS.all, () => zoomed(AXIS.from, AXIS.to))),
  );
  byId("status").append("", make("span", { id: "at", "aria-live": "off" }));
  byId("keys").append(make("ul", {}, ...[
    `Drag over a chart to zoom in; a double click shows ${AXIS.whole} again.`,
    `With a chart in focus: arrows move the crosshair (with Shift by ten), + and - zoom, 0 shows ${AXIS.whole}, Home and End go to its edges.`,
    ...AXIS.keys,
    "“Data” under a chart has its figures as a table.",
  ].map((text) => make("li", {}, text))));
}

const of = (spec) => (spec.ofLane && AXIS.lanes.length > 1 ? ` – “${AXIS.lanes[view.lane].label}”` : "");

function drawCharts() {
  controls();
  for (const spec of CHARTS) {
    const chart = { spec, stacked: spec.stacked, lines: [] };
    chart.plot = make("div", { class: "plot", tabindex: "0", role: "slider", "aria-label": `${spec.title} ${AXIS.word}`, "aria-valuemin": 0, "aria-valuemax": AXIS.at.length - 1, onkeydown: key });
    chart.marks = make("ul", { class: "readout" });
    chart.empty = make("p", { class: "empty", hidden: true }, "Nothing to show in this lane.");
    chart.of = spec.ofLane ? make("small", {}, of(spec)) : null;
    chart.table = make("details", { ontoggle: () => chart.table.open && fill(chart) }, make("summary", {}, "Data"), make("div"));
    const unit = { "/s": "per second", ms: "milliseconds", "%": "percent", x: "times" }[spec.unit] || "count";
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
