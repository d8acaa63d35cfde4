// The page, from its verdict down, and what changes its colours.

subject();
verdict();
tiles();
chartsOverTime();
users();
figures();
tradeOff();
changes();
transitions();
run();

const recolour = () => charts.forEach(({ uplot }) => uplot?.redraw(false, true));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
addEventListener("beforeprint", () => { document.documentElement.dataset.theme = "light"; recolour(); });
addEventListener("afterprint", () => { delete document.documentElement.dataset.theme; recolour(); });
