# a transition is made and not told
# file: filter/src/worker/notes.rs
s/entry\.series\.transition\(transition\);/let _ = transition;/
