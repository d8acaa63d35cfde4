#!/usr/bin/env python3
"""Finds Rust files that no target of their crate declares: nobody compiles them. Exit code 1: there is one.

    scripts/unreached.py filter filter/policy test-harness

A target's root is src/lib.rs, src/main.rs, build.rs, or what Cargo.toml names as a path; from there it follows `mod NAME;` and
#[path]. Files of other crates inside a crate's folder are left to those.
"""
import pathlib
import re
import sys

MODULE = re.compile(r'(?:#\[path\s*=\s*"([^"]+)"\]\s*)?(?:#\[[^\]]*\]\s*)*^\s*(?:pub(?:\([^)]*\))?\s+)?mod\s+(\w+)\s*;', re.M)


def roots(crate):
    """The files that a crate's targets begin with."""
    named = re.findall(r'^path\s*=\s*"([^"]+\.rs)"', (crate / "Cargo.toml").read_text(), re.M)
    found = [crate / path for path in ["src/lib.rs", "src/main.rs", "build.rs", *named]]
    for folder in ("tests", "examples", "benches", "src/bin"):
        found += (crate / folder).glob("*.rs")
        found += (crate / folder).glob("*/main.rs")
    return [path for path in found if path.is_file()]


def reached(path, known, is_root=False):
    """Adds a file and all that it declares."""
    path = path.resolve()
    if path in known or not path.is_file():
        return
    known.add(path)
    folder = path.parent if is_root or path.stem in ("mod", "lib", "main") else path.parent / path.stem
    text = re.sub(r"//[^\n]*", "", path.read_text())
    for place, name in MODULE.findall(text):
        if place:
            reached(path.parent / place, known)
        reached(folder / f"{name}.rs", known)
        reached(folder / name / "mod.rs", known)


def main(names):
    bad = False
    for crate in map(pathlib.Path, names):
        known = set()
        for root in roots(crate):
            reached(root, known, is_root=True)
        inner = [path.parent for path in crate.rglob("Cargo.toml") if path.parent != crate]
        for path in sorted(crate.rglob("*.rs")):
            apart = path.is_relative_to(crate / "target") or any(path.is_relative_to(other) for other in inner)
            if not apart and path.resolve() not in known:
                bad = True
                print(f"unreached: {path}: no target declares it", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__)
        sys.exit(0 if len(sys.argv) > 1 else 2)
    sys.exit(main(sys.argv[1:]))
