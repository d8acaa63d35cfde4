# the verdict of a probe that lost its permit counts though there is no room
# file: filter/policy/src/breaker/mod.rs
s/let room = permit\.probe\.is_none\(\) && probing\.has_room\(settings\);/let room = true;/
