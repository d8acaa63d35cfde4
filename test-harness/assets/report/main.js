// The page, from its verdict down, and what changes its colours.

subject();
verdict();
tiles();
drawCharts();
users();
figures();
tradeOff();
changes();
transitions();
run();

followColours(charts);
