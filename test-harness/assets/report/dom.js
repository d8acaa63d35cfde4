// Elements and numbers. Text goes into the page as text alone, so no name in a report can become markup.

const report = JSON.parse(document.getElementById("report").textContent);

/// An element: `make("p", {class: "soft"}, "text", otherElement)`.
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

const byId = (id) => document.getElementById(id);

/// A number with so many digits behind the point at most, and thin spaces between thousands.
function plain(value, digits = 0) {
  const [whole, part] = value.toFixed(digits).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
  const rest = (part || "").replace(/0+$/, "");
  return rest ? `${grouped}.${rest}` : grouped;
}

/// A value with its unit; `null` is a dash.
function shown(value, unit) {
  if (value == null) return "–";
  switch (unit) {
    case "ms": return Math.abs(value) >= 1000 ? `${plain(value / 1000, 2)}\u00a0s` : `${plain(value, 1)}\u00a0ms`;
    case "%": return `${plain(value, 2)}\u00a0%`;
    case "/s": return `${plain(value, 1)}/s`;
    case "x": return `${plain(value, 3)}×`;
    default: return plain(value, 2);
  }
}

const seconds = (value) => `${plain(value, 3)}\u00a0s`;
const share = (count, all) => (all ? (100 * count) / all : 0);
const total = (answers) => answers.good + answers.degraded + answers.refused + answers.failed;
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/// A table that scrolls by itself where it is too wide. The first cell of a row is its header; numbers stand right.
function table(caption, head, rows, more = {}) {
  const numbers = head.map((_, column) => column > 0 && more.numbers !== false && rows.every((row) => !(row[column] instanceof Node)));
  const cell = (name, scope) => (content, column) => make(column > 0 && scope === "row" ? "td" : name, { class: numbers[column] ? "number" : "wrap", scope: column > 0 && scope === "row" ? null : scope }, content);
  const thead = make("thead", {}, make("tr", {}, ...head.map(cell("th", "col"))));
  const body = rows.map((row) => make("tr", {}, ...row.map(cell("th", "row"))));
  const attributes = { class: more.tall ? "scroll tall" : "scroll", tabindex: "0", role: "region", "aria-label": caption };
  return make("div", attributes, make("table", {}, make("caption", {}, caption), thead, make("tbody", {}, ...body)));
}

/// The verdict as a strip: `state` is met, missed or none.
const strip = (state, word, more) => make("p", { class: `strip ${state}` }, make("strong", {}, word), make("span", { class: "wrap" }, more));

/// Whether something was reached, as a cell of a table.
const metWord = (met, [yes, no] = ["met", "missed"]) => make("span", { class: met ? "met-word" : "missed-word" }, met ? `✓\u00a0${yes}` : `✗\u00a0${no}`);

/// A name that opens its definition.
const defined = (name, means) => make("details", {}, make("summary", {}, name), make("p", {}, means));

/// Facts of a run: each with its name.
const facts = (all) => make("div", { class: "card" }, make("dl", { class: "grid" }, ...all.map(([label, value]) => make("div", {}, make("dt", {}, label), make("dd", { class: "wrap" }, value)))));

/// What a run was made of, and how it is had again.
function provenance(digest, command, more = "") {
  return [
    make("p", {}, "The filter, as SHA-256 of its .wasm:"),
    make("pre", { class: "card" }, digest || "not known"),
    make("p", {}, `The command that gives the same report again${more}:`),
    make("pre", { class: "card", id: "command" }, command),
  ];
}

/// Charts take the colours of the page, which change when it gets dark and on paper.
function followColours(charts) {
  const recolour = () => charts.forEach(({ uplot }) => uplot?.redraw(false, true));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  addEventListener("beforeprint", () => { document.documentElement.dataset.theme = "light"; recolour(); });
  addEventListener("afterprint", () => { delete document.documentElement.dataset.theme; recolour(); });
}
