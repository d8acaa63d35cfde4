# a transition is made and not told
# file: filter/src/worker/step_reports.rs
s/entry\.series\.transition\(transition\);/let _ = transition;/
