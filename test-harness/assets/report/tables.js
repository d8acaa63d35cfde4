// What stands in words and tables: the verdict first, then figures, users, transitions, the run itself.

const lanes = report.lanes;
const first = lanes[0];
const last = lanes[lanes.length - 1];

/// How a colour and a dash stand for a lane: the last one, which is judged, has the second colour.
function laneStyle(index) {
  const at = lanes.length === 1 ? 1 : index === 0 ? 0 : index === lanes.length - 1 ? 1 : index + 1;
  return { colour: `lane-${at}`, dash: at < 2 ? [] : [[], [], [8, 4], [2, 3], [10, 3, 2, 3], [6, 2], [3, 2], [12, 4]][at] };
}

const GOT = [["good", "good"], ["degraded", "degraded"], ["refused", "refused"], ["failed", "failed"]];

const name = (lane) => make("span", { class: "lane-name" }, lane.lane);

function subject() {
  const length = report.length_ms / 1000;
  const sick = report.faults.map(faultText).concat((report.recorded_outcomes ? report.outages : []).map(outageText));
  const what = sick.length ? ` What went wrong: ${sick.slice(0, 3).join("; ")}${sick.length > 3 ? ` and ${sick.length - 3} more` : ""}.` : "";
  byId("subject").textContent = `${plain(report.requests)} requests over ${plain(length, 1)} s, in ${lanes.length === 1 ? "one lane" : `${lanes.length} lanes`}: ${lanes.map((lane) => lane.lane).join(", ")}.${what}`;
}

function faultText(fault) {
  const part = fault.share < 100 ? ` on ${plain(fault.share, 1)} % of attempts` : "";
  const by = fault.kind === "latency" ? ` of ${shown(fault.by / 1e6, "ms")}` : "";
  return `${fault.kind.replace("_", " ")}${by} from ${seconds(fault.at / 1e9)} to ${seconds((fault.at + fault.length) / 1e9)}${part}`;
}

function outageText(outage) {
  return `outage${outage.cluster ? ` of ${outage.cluster}` : ""} in the log from ${seconds(outage.from_us / 1e6)} to ${seconds(outage.to_us / 1e6)}`;
}

function verdict() {
  const section = byId("verdict");
  const criteria = report.criteria || [];
  const missed = criteria.filter((judged) => !judged.met).length;
  const state = criteria.length === 0 ? "none" : missed ? "missed" : "met";
  const words = {
    none: ["No criteria", "Nothing was asked for, so nothing passed or failed (--criteria)."],
    met: ["Passed", `All ${criteria.length} criteria are met by “${last.lane}”.`],
    missed: ["Failed", `${missed} of ${criteria.length} criteria ${missed === 1 ? "is" : "are"} missed by “${last.lane}”.`],
  }[state];
  section.append(strip(state, ...words));
  if (criteria.length) {
    const rows = criteria.map((judged) => [
      FIGURES[judged.figure].name,
      `${{ "<=": "≤", ">=": "≥" }[judged.operator] ?? judged.operator} ${shown(judged.target, judged.unit)}`,
      judged.value == null ? "no value" : shown(judged.value, judged.unit),
      metWord(judged.met),
    ]);
    section.append(table(`Criteria, judged on “${last.lane}”`, ["Figure", "Target", "Value", "Verdict"], rows));
  }
  if ((report.warnings || []).length) {
    const list = make("ul", {}, ...report.warnings.map((text) => make("li", {}, text)));
    section.append(make("div", { class: "warnings" }, make("strong", {}, "Know before you believe the figures"), list));
  }
  if ((report.assumptions || []).length) {
    const list = make("ul", {}, ...report.assumptions.map((text) => make("li", {}, text)));
    section.append(make("div", { class: "warnings" }, make("strong", {}, "What the figures rest on"), list));
  }
}

function tiles() {
  const tile = (label, value, beside) => make("div", { class: "card" }, make("dt", {}, label), make("dd", { class: "value" }, value), make("dd", { class: "beside" }, beside));
  const beside = (of) => (lanes.length > 1 ? `${first.lane}: ${of(first)}` : "");
  const both = (label, of) => tile(label, of(last), beside(of));
  const sick = report.faults.length > 0 || (report.recorded_outcomes && report.outages.length > 0);
  const figure = (key) => (lane) => shown(FIGURES[key].of(lane), FIGURES[key].unit);
  const all = [
    both("Good answers", (lane) => shown(share(lane.answers.good, total(lane.answers)), "%")),
    both("Degraded answers", figure("degraded")),
    both("Refused", figure("refused")),
    both("Failed", figure("failed")),
    both("p99, good answers", figure("p99")),
    both(sick ? "Sick upstream got" : "Upstream got", (lane) => plain(sick ? lane.reached_upstream_in_fault : lane.reached_upstream)),
  ];
  if (sick) {
    all.push(both("Time to detect", figure("time_to_detect")));
    all.push(both("Time to recover", (lane) => (lane.recovered ? figure("time_to_recover")(lane) : "not recovered")));
  }
  byId("tiles").append(make("dl", { class: "grid" }, ...all));
  byId("tiles-title").append(make("span", { class: "soft" }, ` – “${last.lane}”`));
}

function users() {
  const section = byId("users");
  const bar = (answers) => {
    const parts = GOT.filter(([key]) => answers[key] > 0);
    return make("div", { class: "bar", "aria-hidden": "true" }, ...parts.map(([key]) => make("span", { style: `background:var(--got-${key});width:${share(answers[key], total(answers))}%` })));
  };
  const row = (who, answers) => [
    make("span", {}, who, bar(answers)),
    plain(total(answers)),
    ...GOT.map(([key]) => `${plain(share(answers[key], total(answers)), 2)}\u00a0%`),
  ];
  const key = make("ul", { class: "readout" }, ...GOT.map(([id, label]) => make("li", {}, make("span", { class: "swatch area", style: `border-color:var(--got-${id})` }), label)));
  section.append(key);
  const head = ["Requests", "All", "Good", "Degraded", "Refused", "Failed"];
  section.append(table("By lane", head, lanes.map((lane) => row(name(lane), lane.answers))));
  const shed = lanes.filter((lane) => (lane.answers_by_priority || []).length);
  for (const lane of shed) {
    section.append(table(`By priority, the most important first: “${lane.lane}”`, head, lane.answers_by_priority.map((of) => row(of.priority, of.answers))));
  }
  if (!shed.length) section.append(make("p", { class: "empty" }, "No request of the trace named a priority, so nobody was preferred."));
  for (const lane of lanes.filter((lane) => (lane.answers_by_zone || []).length)) {
    section.append(table(`By zone: “${lane.lane}”`, head, lane.answers_by_zone.map((of) => row(of.zone, of.answers))));
  }
}

/// Every figure: what it is called, its unit, how it is read from a lane, and what it means.
const latency = (key) => (lane) => (lane.good_latency ? lane.good_latency[key] : null);
const percent = (of) => (lane) => share(of(lane.answers), total(lane.answers));
const FIGURES = {
  success: { name: "Success", unit: "%", of: percent((got) => got.good + got.degraded), means: "Requests that ended in the upstream's own answer or in one of the fallback ladder, of all requests." },
  failed: { name: "Failed", unit: "%", of: percent((got) => got.failed), means: "Requests that ended in an error: a status of 500 or more that is no refusal of the filter, or a client that went away." },
  refused: { name: "Refused", unit: "%", of: percent((got) => got.refused), means: "Requests that the filter refused at once, without a fallback." },
  degraded: { name: "Degraded", unit: "%", of: percent((got) => got.degraded), means: "Requests that got an answer of the fallback ladder." },
  goodput: { name: "Goodput", unit: "/s", of: (lane) => lane.goodput_per_s, means: "The upstream's own good answers a second, from the trace's beginning to its last request." },
  p50: { name: "p50, good answers", unit: "ms", of: latency("p50_ms"), means: "Half of the good answers took no longer, as users see it: from the first try to the answer. Quick refusals do not make it better." },
  p90: { name: "p90, good answers", unit: "ms", of: latency("p90_ms"), means: "90 % of the good answers took no longer." },
  p99: { name: "p99, good answers", unit: "ms", of: latency("p99_ms"), means: "99 % of the good answers took no longer." },
  "p99.9": { name: "p99.9, good answers", unit: "ms", of: latency("p999_ms"), means: "99.9 % of the good answers took no longer." },
  all_p99: { name: "p99, all answers", unit: "ms", of: (lane) => lane.p99_ms, means: "99 % of all requests ended no later, with errors and refusals among them." },
  reached: { name: "Attempts at the upstream", unit: "", of: (lane) => lane.reached_upstream, means: "Attempts that reached the upstream, retries and hedges among them." },
  reached_sick: { name: "Attempts while it was sick", unit: "", of: (lane) => lane.reached_upstream_in_fault, means: "Attempts that reached the upstream while a fault held." },
  amplification: { name: "Amplification", unit: "x", of: (lane) => lane.amplification, means: "Attempts that reached the upstream for each request of a user: 1 is no retry, below 1 is load that was kept away." },
  false_refusals: { name: "Refused while all was well", unit: "%", of: (lane) => share(lane.answers.refused - lane.answers_in_fault.refused, total(lane.answers)), means: "Requests that the filter refused though they came outside of all faults and outages, of all requests: the price of the policy." },
  sick_load: { name: "Load of the sick upstream", unit: "x", of: (lane) => (total(lane.answers_in_fault) ? lane.reached_upstream_in_fault / total(lane.answers_in_fault) : null), means: "Attempts that reached the upstream while a fault held, for each request that came meanwhile: 1 is as many as without a filter and without retries." },
  time_to_detect: { name: "Time to detect", unit: "ms", of: (lane) => lane.time_to_detect_ms, means: "From the first fault's beginning to the first request that the filter kept from the upstream." },
  time_to_recover: { name: "Time to recover (MTTR)", unit: "ms", of: (lane) => (lane.recovered ? lane.time_to_recover_ms : null), means: "From the last fault's end to the last request that did not get a good answer. No value where it did not recover." },
  recovered: { name: "Recovered by itself", of: (lane) => (lane.recovered ? "yes" : "no"), means: "At the end every breaker is closed, and all requests of the trace's last ten seconds got good answers." },
  blast_requests: { name: "Blast radius: requests", unit: "%", of: (lane) => 100 * lane.blast_radius.requests, means: "Requests that did not get the upstream's own answer, of all requests." },
  blast_upstreams: { name: "Blast radius: upstreams", unit: "%", of: (lane) => 100 * lane.blast_radius.upstreams, means: "Upstreams with one such request in a hundred or more, of all upstreams of the trace." },
  blast_priorities: { name: "Blast radius: priorities", unit: "%", of: (lane) => (lane.blast_radius.priorities == null ? null : 100 * lane.blast_radius.priorities), means: "Priorities with one such request in a hundred or more, of those that requests named." },
  blast_zones: { name: "Blast radius: zones", unit: "%", of: (lane) => (lane.blast_radius.zones == null ? null : 100 * lane.blast_radius.zones), means: "Zones with one such request in a hundred or more: those where users are, or, where the Envoys at the edge have none, those of the hosts that were asked last." },
  degraded_to_failed: { name: "Degraded : failed", unit: "", of: (lane) => lane.degraded_to_failed, means: "Answers of the fallback ladder for each request that ended in a refusal or an error. More is better; a dash where there was neither." },
};

function figures() {
  const rows = Object.values(FIGURES).map((figure) => [
    defined(figure.name, figure.means),
    ...lanes.map((lane) => {
      const value = figure.of(lane);
      return typeof value === "string" ? value : shown(value, figure.unit);
    }),
  ]);
  byId("figures").append(table("Each name opens its definition", ["Figure", ...lanes.map(name)], rows));
}

function changes() {
  const comparison = report.comparison;
  if (!comparison) return;
  const section = byId("changes");
  section.hidden = false;
  const moved = comparison.figures.filter((delta) => delta.before !== delta.now);
  const rows = moved.map((delta) => {
    const word = delta.better == null ? "–" : delta.better ? "▲ better" : "▼ worse";
    const style = delta.better == null ? "soft" : delta.better ? "met-word" : "missed-word";
    const both = delta.before != null && delta.now != null;
    const by = both ? `${delta.now > delta.before ? "+" : "−"}${shown(Math.abs(delta.now - delta.before), delta.unit)}` : "–";
    return [FIGURES[delta.figure].name, make("span", { class: "lane-name" }, delta.lane), shown(delta.before, delta.unit), shown(delta.now, delta.unit), by, make("span", { class: style }, word)];
  });
  if (rows.length) section.append(table("Figures that changed", ["Figure", "Lane", "Before", "Now", "Change", "Verdict"], rows));
  else section.append(make("p", { class: "empty" }, comparison.figures.length ? "No figure changed." : "The earlier run has no lane of the same name."));
  if (comparison.wasm_sha256 && comparison.wasm_sha256 !== report.wasm_sha256) section.append(make("p", { class: "wrap" }, `The filter is another one: it was ${comparison.wasm_sha256}.`));
  section.append(make("p", { class: "soft" }, "The earlier run: "), make("pre", { class: "card" }, comparison.reproduce));
}

function transitions() {
  const section = byId("transitions");
  let any = false;
  for (const lane of lanes) {
    const left = lane.transitions_left_out;
    if (!lane.transitions.length) continue;
    any = true;
    const rows = lane.transitions.map((made) => [seconds(made.at_ms / 1000), make("span", {}, made.change.replace("->", "→")), make("code", {}, made.line)]);
    section.append(table(`“${lane.lane}”${left ? `, and ${plain(left)} more` : ""}`, ["Time", "Change", "The filter's own words"], rows, { tall: true, numbers: false }));
  }
  if (!any) section.append(make("p", { class: "empty" }, "No breaker changed its state."));
}

function run() {
  const more = [...report.faults.map(faultText), ...(report.outages || []).map(outageText)];
  byId("run").append(
    facts([["Seed", String(report.seed)], ["Workers", plain(report.workers)], ["Route's limit", shown(report.route_timeout_ms, "ms")], ["Recorded outcomes", report.recorded_outcomes ? "what failed in the log fails" : "no"]]),
    make("p", {}, more.length ? `Faults and outages: ${more.slice(0, 20).join("; ")}${more.length > 20 ? ` and ${more.length - 20} more` : ""}.` : "Nothing went wrong."),
    ...provenance(report.wasm_sha256, report.reproduce),
  );
}
