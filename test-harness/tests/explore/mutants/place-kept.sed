# a record that is in the list already is entered once more
# file: filter/policy/src/shared/registry.rs
s/Ok\(_\) => \{\}/Ok(place) => known.insert(place, *hash),/
