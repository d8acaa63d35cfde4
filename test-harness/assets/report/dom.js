// Elements and numbers. Text goes into the page as text alone, so no name in a report can become markup.

const report = JSON.parse(document.getElementById("report").textContent);
const lanes = report.lanes;
const first = lanes[0];
const last = lanes[lanes.length - 1];

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
