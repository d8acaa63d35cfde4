// A suite in words and tables: its goals first, then experiments, figures of all together, healing, controls, the run itself.

const { suite, now } = report;
const rows = suite.rows;

/// What is compared: what it is called, its colour and dash, its figures in a run, and what became of an experiment with it.
const MEANS = [
  { label: "Seawall", colour: "lane-1", dash: [], key: "seawall", outcome: (row) => row.seawall },
  { label: "Without a filter", colour: "lane-0", dash: [8, 4], key: "no_filter", outcome: (row) => (row.no_filter == null ? null : row.controls[row.no_filter]) },
  { label: "Envoy's own means", colour: "lane-2", dash: [2, 3], key: "envoy", outcome: (row) => row.envoy },
];

/// What each experiment must reach: its name, what is wanted, and what that means.
const GOALS = {
  pass_rate: ["Pass rate", "Every probe was within its tolerance, before, during and after, and the system healed in time."],
  automatic_recovery: ["Automatic recovery", "At the end every breaker is closed, and all requests of the last ten seconds got good answers, without anybody's help."],
  closed_in_time: ["Breakers closed in time", "After the last fault every breaker is closed within what is left of its open interval, the latency of its probes, and 2 s."],
  admitted_in_time: ["All admitted in time", "All requests are admitted within the policy's ramp after the breakers closed."],
  controls_failed: ["Controls failed as they should", "Without Seawall, or with it badly set, the hypothesis fails in the probes that the experiment names: it can tell good from bad."],
};

const many = (count, word) => `${plain(count)} ${word}${count === 1 ? "" : "s"}`;
const recovery = (outcome) => (outcome.time_to_recover_ms == null ? "not recovered" : shown(outcome.time_to_recover_ms, "ms"));
const percent = (value) => `${plain(value, 1)}\u00a0%`;
const text = (words) => make("span", { class: "wrap" }, words);

function subject() {
  const passed = MEANS.map(({ label, key }) => now[key] && `${label}: ${now[key].passed} of ${now[key].experiments} held`);
  byId("subject").textContent = `${many(rows.length, "experiment")} on ${now.day}, in the simulation. ${passed.filter(Boolean).join("; ")}.`;
}

function verdict() {
  const missed = suite.goals.filter((goal) => !goal.met).length;
  const section = byId("verdict");
  section.append(missed
    ? strip("missed", "Failed", `${missed} of ${suite.goals.length} goals ${missed === 1 ? "is" : "are"} missed.`)
    : strip("met", "Passed", `All ${suite.goals.length} goals are met by ${many(rows.length, "experiment")}.`));
  section.append(table("Goals, each of all experiments; a name opens its definition", ["Goal", "Wanted", "Found", "Experiments", "Verdict"], suite.goals.map((goal) => [
    defined(...GOALS[goal.what]),
    shown(goal.wanted_percent, "%"),
    shown(goal.found_percent, "%"),
    goal.met ? text(`${goal.experiments} of ${goal.experiments}`) : text(`${goal.experiments - goal.missed.length} of ${goal.experiments}, not: ${goal.missed.join(", ")}`),
    metWord(goal.met),
  ])));
}

function experiments() {
  const beside = (outcome) => (outcome ? make("div", { class: "wide" }, metWord(outcome.passed, ["held", "failed"]), ` ${percent(outcome.success_percent)}, ${recovery(outcome)}`) : "–");
  const all = rows.map((row) => {
    const lane = row.seawall;
    return [
      make("details", {}, make("summary", {}, row.experiment), make("p", {}, `${row.title} `, report.pages ? make("a", { href: `${encodeURIComponent(row.experiment)}.html` }, "Its report") : "")),
      make("span", { class: "wrap" }, metWord(lane.passed, ["passed", "failed"]), lane.missed.length ? `: ${lane.missed.join("; ")}` : row.healing.met ? "" : ": not healed in time"),
      recovery(lane), shown(lane.time_to_detect_ms, "ms"), percent(100 * lane.blast_radius.requests), shown(lane.degraded_to_failed, ""), percent(lane.success_percent),
      ...MEANS.slice(1).map((means) => beside(means.outcome(row))),
    ];
  });
  byId("experiments").append(table("Figures are Seawall's; beside them the same experiment with other means: whether its hypothesis held, requests that were answered, MTTR",
    ["Experiment", "Verdict", "MTTR", "Detected", "Requests hit", "Degraded : failed", "Answered", "Without a filter", "Envoy's own means"], all));
}

/// Figures of all experiments together: name, unit, how it is read, and what it means.
const FIGURES = [
  ["Pass rate", "%", (of) => of.pass_rate, "Experiments whose hypothesis held all along and which healed in time."],
  ["Automatic recovery", "%", (of) => of.automatic_recovery_rate, "Systems that were well at the end by themselves: every breaker closed, and all requests of the last ten seconds answered well."],
  ["Time to recover (MTTR), median", "ms", (of) => of.mttr_median_ms, "From the last fault's end to the last request without a good answer, of systems that recovered by themselves. Those that did not have no such time, and are told by the rate above. A degraded answer is no good one, so Seawall's time holds its open interval and the ramp, in which it admits users bit by bit; without it all requests go at once."],
  ["Time to recover, longest", "ms", (of) => of.mttr_max_ms, "The longest of these."],
  ["Time to detect, median", "ms", (of) => of.time_to_detect_median_ms, "From the first fault's beginning to the first request that was kept from the upstream, of experiments in which one was. Without a filter nothing keeps any."],
  ["Time to detect, longest", "ms", (of) => of.time_to_detect_max_ms, "The longest of these."],
  ["Blast radius: requests", "%", (of) => of.blast_radius_percent, "Requests that did not get the upstream's own answer, of all requests of all experiments."],
  ["Answered", "%", (of) => of.success_percent, "Requests with the upstream's own answer or one of the fallback ladder."],
  ["Degraded : failed", "", (of) => of.degraded_to_failed, "Answers of the fallback ladder for each request that ended in a refusal or an error. More is better."],
];

function figures() {
  const all = MEANS.filter(({ key }) => now[key]);
  const body = FIGURES.map(([what, unit, of, means]) => [defined(what, means), ...all.map(({ key }) => shown(of(now[key]), unit))]);
  byId("figures").append(table("Each name opens its definition", ["Figure", ...all.map(({ label, key }) => `${label} (${now[key].experiments} played)`)], body));
}

function healing() {
  byId("healing").append(
    make("p", { class: "soft" }, "With Seawall, from the end of the last fault. Closed: when the last breaker was; allowed is what is left of its open interval, the latency of its probes, and 2 s. All admitted: the last request that got no good answer; allowed is the policy's ramp after the breakers closed."),
    table("Healing, experiment by experiment", ["Experiment", "Closed", "Allowed", "All admitted", "Allowed", "Verdict"], rows.map(({ experiment, healing: of }) => [
      experiment, of.closed_ms == null ? "never" : shown(of.closed_ms, "ms"), shown(of.closed_by_ms, "ms"), of.admitted_ms == null ? "never" : shown(of.admitted_ms, "ms"), shown(of.admitted_by_ms, "ms"), metWord(of.met, ["in time", "too late"]),
    ])));
}

function controlsOf() {
  const all = rows.flatMap((row) => row.controls.map((control) => {
    const held = row.controls_held.some((told) => told.startsWith(`${control.name}: `));
    return [row.experiment, text(control.name), metWord(!held, ["failed, as it should", "did not fail as it should"]), text(control.missed.join("; ") || "none"), shown(control.success_percent, "%"), recovery(control)];
  }));
  const section = byId("misses");
  if (all.length) section.append(table("Controls: the same experiment without Seawall, or with it badly set", ["Experiment", "Control", "Verdict", "Probes out of their tolerance", "Answered", "MTTR"], all));
  else section.append(make("p", { class: "empty" }, "No experiment has a control, so nothing says that one could fail."));
}

function run() {
  byId("run").append(
    facts([["Day", now.day], ["Experiments", plain(rows.length)], ["Earlier runs", report.history ? plain(report.earlier.length + report.earlier_left_out) : "no history (--history)"]]),
    table("Each experiment by itself", ["Experiment", "Seed", "Command"], rows.map((row) => [row.experiment, String(row.seed), make("code", {}, row.reproduce)])),
    ...provenance(now.wasm_sha256, report.reproduce, report.history ? ", after the same earlier runs" : ""),
  );
}
