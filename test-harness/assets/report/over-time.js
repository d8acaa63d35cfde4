// A run over time: what its charts show, bands of faults and marks of transitions on all.

const slot = first.series.slot_ms / 1000;
const slots = Math.max(...lanes.map((lane) => lane.series.offered.length));
const times = Array.from({ length: slots }, (_, number) => number * slot);
const end = slots * slot;
const perSecond = (counts) => counts.map((count) => count / slot);

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

/// What all charts have under them: slots of time.
const AXIS = {
  at: times, from: 0, to: end, step: slot, width: slot, word: "over time", first: "From",
  view: { lane: lanes.length - 1, latency: "p99_ms", load: "in_flight" },
  lanes: lanes.map((lane, index) => ({ label: lane.lane, ...laneStyle(index) })),
  name: seconds, tick: (value) => `${plain(value, 3)} s`, ticks: { space: 70 },
  range: (from, to) => `${seconds(from)} to ${seconds(to)}`, whole: "the whole run", slots: `, in slots of ${seconds(slot)}`, all: "Whole run",
  series: () => ({ paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } }),
  behind: [drawBands], above: [drawMarks],
  keys: [
    "A shaded band is a time in which something was wrong. Marks above: a triangle is a breaker that opens, a diamond one that is half open, a dot one that closes.",
    "A value is of the slot that begins at the crosshair.",
  ],
};
