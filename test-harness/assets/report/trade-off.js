// What a search saw: the first two aims against each other, and all of them in a table.

const ROLES = { default: "Shipped default", proposal: "Proposed", front: "" };

function tradeOff() {
  const found = report.trade_off;
  if (!found) return;
  const section = byId("trade-off");
  section.hidden = false;
  const label = (aim) => FIGURES[aim.figure].name;
  const value = (point, at) => shown(point.values[at], found.aims[at].unit);
  section.append(make("p", { class: "soft" }, `Policies that no other one beats in everything, of ${plain(found.points.length + found.others)} that were tried in ${plain(found.plays)} plays. These figures are those of the search: the core natively, over the part of the trace that it saw.`));
  if (found.aims.length > 1) section.append(curve(found, label));
  const rows = found.points.map((point) => [
    ROLES[point.role] || "–",
    ...found.aims.map((_, at) => value(point, at)),
    make("span", { class: "wrap" }, point.settings.join("; ") || "–"),
  ]);
  section.append(table("The trade-off, by the first aim", ["Policy", ...found.aims.map(label), "What it says"], rows, { tall: true }));
}

/// The curve as a picture; the table has its figures.
function curve(found, label) {
  const svg = (name, attributes, ...children) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };
  const points = found.points.filter((point) => point.values[0] != null && point.values[1] != null);
  const [width, height, edge] = [640, 300, 48];
  const range = (at) => {
    const all = points.map((point) => point.values[at]);
    const [low, high] = [Math.min(...all), Math.max(...all)];
    return [low, high > low ? high : low + 1];
  };
  const [across, up] = [range(0), range(1)];
  const x = (point) => edge + ((point.values[0] - across[0]) / (across[1] - across[0])) * (width - 2 * edge);
  const y = (point) => height - edge - ((point.values[1] - up[0]) / (up[1] - up[0])) * (height - 2 * edge);
  const text = (at, more, words) => svg("text", { x: at[0], y: at[1], fill: "currentColor", "font-size": 12, ...more }, words);
  const mark = (point) => {
    const colours = { default: "var(--lane-0)", proposal: "var(--lane-1)", front: "currentColor" };
    const dot = svg("circle", { cx: x(point), cy: y(point), r: point.role === "front" ? 4 : 7, fill: colours[point.role], "fill-opacity": point.role === "front" ? 0.45 : 1 });
    if (point.role === "front") return [dot];
    const left = x(point) > width / 2;
    return [dot, text([x(point) + (left ? -12 : 12), y(point) - 10], { "text-anchor": left ? "end" : "start" }, ROLES[point.role])];
  };
  const unit = (at) => found.aims[at].unit;
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${label(found.aims[0])} against ${label(found.aims[1])} of the policies in the table below`, style: "max-width:100%;height:auto" },
    svg("path", { d: `M${edge} ${edge / 2}V${height - edge}H${width - edge / 2}`, fill: "none", stroke: "currentColor", "stroke-opacity": 0.4 }),
    text([width - edge / 2, height - edge + 32], { "text-anchor": "end" }, `${label(found.aims[0])} →`),
    text([edge, edge / 2 - 8], {}, `↑ ${label(found.aims[1])}`),
    text([edge, height - edge + 16], {}, shown(across[0], unit(0))),
    text([width - edge, height - edge + 16], { "text-anchor": "end" }, shown(across[1], unit(0))),
    text([edge - 4, height - edge], { "text-anchor": "end" }, shown(up[0], unit(1))),
    text([edge - 4, edge], { "text-anchor": "end" }, shown(up[1], unit(1))),
    ...points.flatMap(mark));
}
