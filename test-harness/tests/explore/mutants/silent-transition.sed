# a transition is made and not told
# file: filter/policy/src/worker/step_reports.rs
s/entry\.series\.transition\(env, transition\);/let _ = transition;/
