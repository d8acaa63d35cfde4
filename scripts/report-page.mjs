// Opens reports in a headless Chromium over file://, without a network, and says what is wrong with them. Exit code 1: something is.
//
//     node scripts/report-page.mjs TOOLS CHROMIUM [--screenshot FILE] REPORT.html...

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { resolve } from "node:path";

const [tools, chromium, ...rest] = process.argv.slice(2);
const require = createRequire(resolve(tools, "package.json"));
const puppeteer = require("puppeteer-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const picture = rest[0] === "--screenshot" ? rest.splice(0, 2)[1] : null;
let checks = 0;
const wrong = [];

function check(what, holds, more = "") {
  checks += 1;
  if (!holds) wrong.push(`${what}${more ? `: ${more}` : ""}`);
}

const browser = await puppeteer.launch({
  executablePath: chromium,
  // In a container root has no sandbox to give.
  args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
});

/// A page with the report, and what it said and asked for.
async function open(file, { width = 1200, height = 900, scheme = "light" } = {}) {
  const page = await browser.newPage();
  const said = [];
  const asked = [];
  page.on("console", (message) => said.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => said.push(`error: ${error}`));
  page.on("dialog", (dialog) => { said.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  const url = pathToFileURL(resolve(file)).href;
  page.on("request", (request) => { if (request.url() !== url && !request.url().startsWith("data:")) asked.push(request.url()); });
  await page.setOfflineMode(true);
  await page.setViewport({ width, height });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.goto(url);
  await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
  return { page, said, asked };
}

const status = (page) => page.$eval("#status", (element) => element.textContent);
/// The colours of a chart's picture, to see whether something is drawn, and whether it is another one.
const pixels = (page, id) => page.$eval(`#chart-${id} canvas`, (canvas) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  const colours = new Set();
  let sum = 0;
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 3] === 0) continue;
    colours.add((data[at] << 16) | (data[at + 1] << 8) | data[at + 2]);
    sum = (sum * 31 + data[at] * 7 + data[at + 1] * 5 + data[at + 2] + at) >>> 0;
  }
  return { colours: colours.size, sum };
});

async function accessible(page, what) {
  // Its own policy lets no other script in, and axe comes by the debugger, which needs none.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run({ resultTypes: ["violations"] }));
  const told = violations.map((rule) => `${rule.id} at ${rule.nodes.slice(0, 3).map((node) => node.target).join(", ")}`);
  check(`${what}: axe-core finds nothing`, violations.length === 0, told.join("; "));
}

async function quiet({ said, asked }, what) {
  check(`${what}: the console is silent`, said.length === 0, said.join("; "));
  check(`${what}: nothing is asked of the network`, asked.length === 0, asked.join(", "));
}

async function figures(page, what) {
  const seen = await page.evaluate(() => {
    const report = JSON.parse(document.getElementById("report").textContent);
    const text = (selector) => document.querySelector(selector)?.textContent ?? "";
    return {
      verdict: text("#verdict"), criteria: report.criteria?.length ?? 0, rows: document.querySelectorAll("#verdict tbody tr").length,
      lanes: report.lanes.map((lane) => lane.lane), figures: text("#figures thead"), figureRows: document.querySelectorAll("#figures tbody tr").length,
      run: text("#run"), seed: String(report.seed), digest: report.wasm_sha256, reproduce: report.reproduce,
      limited: report.lanes.filter((lane) => lane.series.limit?.length).map((lane) => `${lane.lane}: limit`), inFlight: text("#chart-in-flight .readout"), points: report.trade_off?.points, aims: report.trade_off?.aims.length,
      tried: { rows: document.querySelectorAll("#trade-off tbody tr").length, dots: document.querySelectorAll("#trade-off svg circle").length, words: text("#trade-off"), name: document.querySelector("#trade-off svg")?.getAttribute("aria-label") ?? "" },
      hidden: document.querySelector("#trade-off").hidden,
      charts: document.querySelectorAll("#charts canvas").length, empty: document.querySelectorAll("#charts .empty:not([hidden])").length,
      markup: document.querySelectorAll("main img, main script, main iframe").length,
      ends: document.documentElement.outerHTML.split("</script").length - 1, scripts: document.scripts.length,
    };
  });
  check(`${what}: every criterion is told`, seen.rows === seen.criteria);
  check(`${what}: the verdict comes in words`, /Passed|Failed|No criteria/.test(seen.verdict), seen.verdict);
  check(`${what}: every lane has its figures`, seen.lanes.every((lane) => seen.figures.includes(lane)), seen.figures);
  check(`${what}: the key figures are there`, seen.figureRows >= 18, String(seen.figureRows));
  check(`${what}: all charts are drawn, or say that they have nothing`, seen.charts + seen.empty === 6, `${seen.charts} and ${seen.empty}`);
  check(`${what}: every limit is a line beside what is in flight`, seen.limited.every((label) => seen.inFlight.includes(label)), seen.inFlight);
  check(`${what}: what a search tried is shown where there was one`, seen.hidden === !seen.points, `hidden: ${seen.hidden}`);
  if (seen.points) {
    const drawn = seen.points.filter((point) => point.values[0] != null && point.values[1] != null).length;
    check(`${what}: every policy of the trade-off is a row`, seen.tried.rows === seen.points.length, `${seen.tried.rows} of ${seen.points.length}`);
    check(`${what}: and a dot of the picture, which has a name`, seen.tried.dots === drawn && / against /.test(seen.tried.name), `${seen.tried.dots} of ${drawn}: ${seen.tried.name}`);
    check(`${what}: the default and the proposal are named`, ["Shipped default", "Proposed"].every((role) => seen.tried.words.includes(role)));
  }
  check(`${what}: seed, digest and command are there`, [seen.seed, seen.digest, seen.reproduce].every((part) => seen.run.includes(part)));
  check(`${what}: no name became markup`, seen.markup === 0 && seen.ends === seen.scripts, `${seen.markup} elements, ${seen.ends} ends of ${seen.scripts} scripts`);
}

/// What the checks of charts look at in each kind of page.
const REPLAY = { chart: "goodput", other: "upstream", told: "offered", unit: /\d\/s/, whole: "whole run", figures };
const SUITE = { chart: "pass-rate", other: "blast", told: "Seawall", unit: /\d\u00a0%/, whole: "all runs", figures: suite };

async function suite(page, what) {
  const seen = await page.evaluate(() => {
    const data = JSON.parse(document.getElementById("report").textContent);
    const text = (selector) => document.querySelector(selector)?.textContent ?? "";
    const rows = (selector) => document.querySelectorAll(`${selector} tbody tr`).length;
    return {
      data, first: document.querySelector("main > section")?.id, verdict: text("#verdict .strip"), goals: rows("#verdict"), missed: text("#verdict tbody"), experiments: rows("#experiments"), healing: rows("#healing"),
      controls: rows("#misses"), figures: text("#figures"), trend: document.querySelectorAll("#charts canvas").length, hidden: document.querySelector("#trend").hidden, runs: rows("#trend > .scroll"), run: text("#run"),
      links: [...document.querySelectorAll("#experiments a")].map((link) => link.getAttribute("href")),
      markup: document.querySelectorAll("main img, main script, main iframe").length,
      ends: document.documentElement.outerHTML.split("</script").length - 1, scripts: document.scripts.length,
    };
  });
  const { suite, now, earlier, history, pages } = seen.data;
  check(`${what}: the verdict comes first, and is that of the goals`, seen.first === "verdict" && seen.verdict.startsWith(suite.goals.every((goal) => goal.met) ? "Passed" : "Failed"), seen.verdict);
  check(`${what}: every goal is told, with who misses it`, seen.goals === suite.goals.length && suite.goals.every((goal) => goal.missed.every((name) => seen.missed.includes(name))), seen.missed);
  check(`${what}: every experiment is a row, and one of healing`, seen.experiments === suite.rows.length && seen.healing === suite.rows.length, `${seen.experiments} and ${seen.healing}`);
  check(`${what}: every control is told`, seen.controls === suite.rows.flatMap((row) => row.controls).length, String(seen.controls));
  check(`${what}: no filter and Envoy's own means stand beside`, ["Seawall", "Without a filter", "Envoy's own means"].every((name) => seen.figures.includes(name)), seen.figures);
  check(`${what}: the trend is there where there is a history`, seen.hidden === !history && seen.trend === (earlier.length ? 6 : 0) && seen.runs === (history ? earlier.length + 1 : 0), `${seen.trend} charts, ${seen.runs} runs`);
  check(`${what}: pages of experiments are linked where they are`, seen.links.length === (pages ? suite.rows.length : 0), seen.links.join(", "));
  check(`${what}: seeds, digest and commands are there`, [now.wasm_sha256, seen.data.reproduce, ...suite.rows.flatMap((row) => [String(row.seed), row.reproduce])].every((part) => seen.run.includes(part)));
  check(`${what}: no name became markup`, seen.markup === 0 && seen.ends === seen.scripts, `${seen.markup} elements, ${seen.ends} ends of ${seen.scripts} scripts`);
}

async function keyboard(page, what, kind) {
  const before = await status(page);
  await page.focus(`#chart-${kind.chart} .plot`);
  const at = () => page.$eval(`#chart-${kind.chart} .plot`, (plot) => [plot.getAttribute("aria-valuenow"), plot.getAttribute("aria-valuetext")]);
  await page.keyboard.press("ArrowRight");
  const [first] = await at();
  await page.keyboard.press("ArrowRight");
  const [second, text] = await at();
  check(`${what}: arrows move the crosshair`, Number(second) === Number(first) + 1, `${first} to ${second}`);
  check(`${what}: it is told what stands there`, text.includes(kind.told) && /\d/.test(text), text);
  const elsewhere = await page.$eval(`#chart-${kind.other} .readout`, (list) => list.textContent);
  check(`${what}: all charts show the same time`, kind.unit.test(elsewhere), elsewhere);
  check(`${what}: all crosshairs stand at it`, await together(page));
  const picture = await pixels(page, kind.other);
  check(`${what}: something is drawn`, picture.colours > 4, String(picture.colours));
  await page.keyboard.press("+");
  await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
  const near = await status(page);
  check(`${what}: + zooms in`, near !== before && !near.includes(kind.whole), near);
  check(`${what}: all charts zoom`, (await pixels(page, kind.other)).sum !== picture.sum);
  await page.keyboard.press("+");
  const nearer = await status(page);
  await page.keyboard.press("-");
  check(`${what}: - zooms out`, nearer !== near && (await status(page)) !== nearer, await status(page));
  await page.keyboard.press("0");
  check(`${what}: 0 shows the whole`, (await status(page)).includes(kind.whole), await status(page));
}

/// Whether the crosshairs of all charts that are drawn stand at one place, within the plot.
async function together(page) {
  await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
  const places = await page.$$eval(".u-cursor-x", (all) => all.map((line) => (line.classList.contains("u-off") ? "none" : line.style.transform)));
  return places.length > 1 && new Set(places).size === 1 && /translate\([1-9]/.test(places[0]);
}

async function brush(page, what, kind) {
  // Where the focus went, the page may still be on its way.
  await page.$eval(`#chart-${kind.chart}`, (chart) => chart.scrollIntoView({ block: "center", behavior: "instant" }));
  const box = await (await page.$(`#chart-${kind.chart} .u-over`)).boundingBox();
  await page.mouse.move(box.x + box.width * .3, box.y + 40);
  check(`${what}: crosshairs follow the mouse together`, await together(page));
  await page.mouse.move(box.x + box.width * .2, box.y + 40);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * .5, box.y + 50, { steps: 5 });
  await page.mouse.up();
  check(`${what}: a brush zooms`, !(await status(page)).includes(kind.whole), await status(page));
  const [from, to] = (await status(page)).match(/[\d.]+/g).map(Number);
  check(`${what}: to what was brushed`, from > 0 && to > from, `${from} to ${to}`);
  await page.mouse.click(box.x + box.width * .5, box.y + 40, { count: 2 });
  check(`${what}: a double click shows the whole`, (await status(page)).includes(kind.whole), await status(page));
  await page.click("#controls button:first-of-type");
  check(`${what}: a button zooms in`, !(await status(page)).includes(kind.whole));
  await page.click("#controls button:last-of-type");
  check(`${what}: a button shows the whole`, (await status(page)).includes(kind.whole));
}

async function tables(page, what, kind) {
  await page.click(`#chart-${kind.chart} .more > details:last-of-type > summary`);
  await page.waitForSelector(`#chart-${kind.chart} tbody tr`);
  const rows = await page.$$eval(`#chart-${kind.chart} tbody tr`, (all) => all.length);
  const slots = await page.evaluate(() => {
    const data = JSON.parse(document.getElementById("report").textContent);
    return data.lanes ? data.lanes[0].series.offered.length : data.earlier.length + 1;
  });
  check(`${what}: the data behind a chart is a table`, rows >= slots, `${rows} rows of ${slots} slots`);
  await page.click("#figures tbody summary");
  const open = await page.$eval("#figures tbody details", (details) => details.open && details.textContent.length > 40);
  check(`${what}: a definition is one click away`, open);
}

async function narrow(file, what) {
  for (const width of [320, 600]) {
    const { page } = await open(file, { width, height: 700 });
    const [all, shown] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    check(`${what}: ${width} pixels wide needs no scrolling sideways`, all <= shown, `${all} of ${shown}`);
    if (width === 320) await accessible(page, `${what}, narrow`);
    await page.close();
  }
}

for (const file of rest) {
  const light = await open(file);
  const kind = (await light.page.$("#experiments")) ? SUITE : REPLAY;
  await kind.figures(light.page, file);
  const charts = (await light.page.$(`#chart-${kind.chart}`)) !== null;
  if (charts) {
    await keyboard(light.page, file, kind);
    await brush(light.page, file, kind);
    await tables(light.page, file, kind);
  }
  const paper = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const white = await paper(light.page);
  await accessible(light.page, `${file}, light`);
  const day = charts && (await pixels(light.page, kind.chart));
  await light.page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
  await light.page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
  if (charts) check(`${file}: charts follow when it gets dark`, (await pixels(light.page, kind.chart)).sum !== day.sum);
  await quiet(light, file);
  await light.page.close();
  const dark = await open(file, { scheme: "dark" });
  check(`${file}: dark is dark`, (await paper(dark.page)) !== white, await paper(dark.page));
  await accessible(dark.page, `${file}, dark`);
  await quiet(dark, `${file}, dark`);
  const printed = await dark.page.pdf({ format: "A4" });
  check(`${file}: it can be printed`, printed.length > 10_000, `${printed.length} bytes`);
  await dark.page.close();
  await narrow(file, file);
}
if (picture) {
  const { page } = await open(rest[0], { width: 1000, height: 1270 });
  const box = await (await page.$("#chart-goodput .u-over")).boundingBox();
  await page.mouse.move(box.x + box.width * .65, box.y + 40);
  await page.screenshot({ path: picture });
}
await browser.close();
wrong.forEach((text) => console.log(`report: ${text}`));
console.log(`report: ${checks} checks of ${rest.length} pages, ${wrong.length} failed`);
process.exitCode = wrong.length ? 1 : 0;
