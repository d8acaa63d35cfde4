#!/usr/bin/env python3
"""Finds files of a Rust crate that import each other in a circle. Exit code 1: there is one.

    scripts/circles.py filter/policy/src filter/src test-harness/src test-harness/live/src

An import is a path that begins with crate::, super:: or self::, or with a module that the file declares. It leads to the file
that defines the last name, through re-exports. A module and its own children are one idea in several files: what a child takes
from a module above it is no import here. Tests are left out: they may look at everything.
"""
import pathlib
import re
import sys

USE = re.compile(r"^\s*(?:pub(?:\([^)]*\))?\s+)?use\s+([^;]+);", re.M)
INLINE = re.compile(r"\b((?:crate|super|self)(?:::[A-Za-z_][A-Za-z0-9_]*)+)")


def code_of(text):
    """Without comments and without what follows the first `#[cfg(test)]` module."""
    text = re.sub(r"//[^\n]*", "", text)
    end = re.search(r"#\[cfg\(test\)\]\s*mod\s+\w+", text)
    return text[: end.start()] if end else text


def leaves(tree):
    """`a::{b, c::{d}}` as [a, b] and [a, c, d]."""
    tree = tree.strip()
    brace = tree.find("{")
    if brace < 0:
        return [[part.strip() for part in tree.split(" as ")[0].split("::")]]
    head = [part for part in tree[:brace].strip().strip(":").split("::") if part]
    depth, begin, found = 0, brace + 1, []
    for at in range(brace, len(tree)):
        depth += {"{": 1, "}": -1}.get(tree[at], 0)
        if (tree[at] == "," and depth == 1) or (tree[at] == "}" and depth == 0):
            if tree[begin:at].strip():
                found += [head + leaf for leaf in leaves(tree[begin:at])]
            begin = at + 1
    return found


class Crate:
    def __init__(self, root):
        self.files = {}
        for path in sorted(root.rglob("*.rs")):
            parts = list(path.relative_to(root).with_suffix("").parts)
            if "tests" in parts or parts[-1].endswith("_tests"):
                continue
            if parts[-1] in ("mod", "lib", "main"):
                parts.pop()
            self.files[tuple(parts)] = (path, code_of(path.read_text()))
        self.exports = {module: self.reexports(module) for module in self.files}

    def reexports(self, module):
        names = {}
        for match in re.finditer(r"^\s*pub(?:\([^)]*\))?\s+use\s+([^;]+);", self.files[module][1], re.M):
            for leaf in leaves(match.group(1)):
                names[leaf[-1]] = leaf
        return names

    def absolute(self, module, path):
        at, path = list(module), list(path)
        if path[0] == "crate":
            return path[1:]
        if path[0] in ("self", "super"):
            while path and path[0] in ("self", "super"):
                if path.pop(0) == "super":
                    at = at[:-1]
            return at + path
        if tuple(at + path[:1]) in self.files:
            return at + path
        return None

    def leads_to(self, module, path, depth=0):
        """The module whose file defines what stands at the end of this path."""
        whole = self.absolute(module, path)
        if whole is None or depth > 8:
            return None
        known = max((n for n in range(len(whole) + 1) if tuple(whole[:n]) in self.files), default=None)
        if known is None:
            return None
        owner, rest = tuple(whole[:known]), whole[known:]
        if rest and rest[0] in self.exports[owner]:
            onward = self.leads_to(owner, self.exports[owner][rest[0]] + rest[1:], depth + 1)
            return onward if onward is not None else owner
        return owner

    def imports(self):
        edges = {}
        for module, (_, code) in self.files.items():
            private = re.sub(r"^\s*pub(?:\([^)]*\))?\s+use\s+[^;]+;", "", code, flags=re.M)
            paths = [leaf for match in USE.finditer(private) for leaf in leaves(match.group(1))]
            paths += [match.group(1).split("::") for match in INLINE.finditer(USE.sub("", private))]
            found = {self.leads_to(module, path) for path in paths if path and path[0]}
            above = {module[:n] for n in range(len(module))}
            edges[module] = sorted(found - above - {None, module})
        return edges


def circles(edges):
    """The strongly connected parts with more than one file (Tarjan)."""
    number, low, stack, found = {}, {}, [], []

    def visit(node):
        number[node] = low[node] = len(number)
        stack.append(node)
        for other in edges[node]:
            if other not in number:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], number[other])
        if low[node] == number[node]:
            part = []
            while part[-1:] != [node]:
                part.append(stack.pop())
            if len(part) > 1:
                found.append(sorted(part))

    for node in edges:
        if node not in number:
            visit(node)
    return found


def main(roots):
    sys.setrecursionlimit(10_000)
    bad = False
    for root in map(pathlib.Path, roots):
        crate = Crate(root)
        edges = crate.imports()
        for part in circles(edges):
            bad = True
            print(f"circles: {root}: {len(part)} files import each other:", file=sys.stderr)
            for module in part:
                for other in edges[module]:
                    if other in part:
                        print(f"  {crate.files[module][0]} -> {crate.files[other][0]}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__)
        sys.exit(0 if len(sys.argv) > 1 else 2)
    sys.exit(main(sys.argv[1:]))
