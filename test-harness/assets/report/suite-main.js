// The page of a suite, from its verdict down.

subject();
verdict();
experiments();
figures();
trend();
healing();
controlsOf();
run();
followColours(charts);
