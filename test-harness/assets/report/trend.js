// The trend over the runs of a history: one place on the axis for each run.

const runs = [...report.earlier, now];
const numbers = runs.map((_, at) => report.earlier_left_out + at + 1);
const compared = MEANS.filter(({ key }) => runs.some((of) => of[key]));

/// One line for each of what is compared.
const ofRuns = (value) => compared.map(({ label, colour: of, dash, key }, lane) => ({ label, colour: of, dash, lane, values: runs.map((one) => (one[key] ? value(one[key]) : null)) }));

const CHARTS = [
  { id: "pass-rate", title: "Pass rate", unit: "%", lines: () => ofRuns((of) => of.pass_rate), means: FIGURES[0][3] },
  { id: "recovery", title: "Automatic recovery", unit: "%", lines: () => ofRuns((of) => of.automatic_recovery_rate), means: FIGURES[1][3] },
  { id: "mttr", title: "Time to recover (MTTR)", unit: "ms", choice: ["mttr", "Of experiments", [["mttr_median_ms", "median"], ["mttr_max_ms", "longest"]]], lines: () => ofRuns((of) => of[view.mttr]), means: FIGURES[2][3] },
  { id: "detect", title: "Time to detect", unit: "ms", choice: ["detect", "Of experiments", [["time_to_detect_median_ms", "median"], ["time_to_detect_max_ms", "longest"]]], lines: () => ofRuns((of) => of[view.detect]), means: FIGURES[4][3] },
  { id: "blast", title: "Blast radius: requests", unit: "%", lines: () => ofRuns((of) => of.blast_radius_percent), means: FIGURES[6][3] },
  { id: "degraded", title: "Degraded : failed", unit: "", lines: () => ofRuns((of) => of.degraded_to_failed), means: FIGURES[8][3] },
];

const dayAt = (number) => runs[number - numbers[0]]?.day ?? "";
const AXIS = {
  at: numbers, from: numbers[0] - .5, to: numbers[numbers.length - 1] + .5, step: 1, width: 0, word: "over earlier runs", first: "Run",
  view: { mttr: "mttr_median_ms", detect: "time_to_detect_median_ms" },
  lanes: compared,
  name: (number) => `run ${number}, ${dayAt(number)}`, tick: dayAt, ticks: { space: 90, incrs: [1, 2, 5, 10, 20, 50, 100] },
  range: (from, to) => `${Math.ceil(from)} to ${Math.floor(to)}`, whole: "all runs", slots: "", all: "All runs",
  series: (line) => ({ paths: uPlot.paths.linear(), points: { show: true, size: 7, width: 1.75, stroke: () => colour(line.colour), fill: () => colour("card") } }),
  behind: [], above: [], keys: ["Runs stand in the order in which they were made, by their days; a line is cut where a run has no such figure."],
};

function trend() {
  if (!report.history) return;
  const section = byId("trend");
  section.hidden = false;
  const others = runs.filter((of) => of.experiments !== now.experiments).length;
  const notes = [
    runs.length === 1 ? "This is the first run of its history: a later one shows what changed." : "",
    report.earlier_left_out ? `The history has ${many(report.earlier_left_out, "earlier run")} that ${report.earlier_left_out === 1 ? "is" : "are"} not shown.` : "",
    others ? `${many(others, "run")} played another number of experiments than this one: figures of different experiments cannot be compared.` : "",
  ].filter(Boolean).join(" ");
  if (notes) byId("trend-title").after(make("p", { class: "soft" }, notes));
  if (runs.length > 1) drawCharts();
  else ["controls", "status", "keys"].forEach((id) => byId(id).remove());
  section.append(table("Runs, the latest first; figures are Seawall's", ["Run", "Day", "Filter", "Experiments", "Pass rate", "Automatic recovery", "MTTR, median", "MTTR, longest", "Detected, median", "Requests hit", "Degraded : failed"],
    runs.map((of, at) => [
      String(numbers[at]), of.day, make("code", {}, of.wasm_sha256.slice(0, 12)), plain(of.experiments), shown(of.seawall.pass_rate, "%"), shown(of.seawall.automatic_recovery_rate, "%"), shown(of.seawall.mttr_median_ms, "ms"), shown(of.seawall.mttr_max_ms, "ms"),
      shown(of.seawall.time_to_detect_median_ms, "ms"), shown(of.seawall.blast_radius_percent, "%"), shown(of.seawall.degraded_to_failed, ""),
    ]).reverse(), { tall: true }));
}
