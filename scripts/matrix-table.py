#!/usr/bin/env python3
"""Writes the table of Envoy versions into README.md, between its two markers.

Usage: matrix-table.py DIRECTORY_OF_ROWS README
"""

import pathlib
import sys

BEGIN, END = "<!-- matrix: make matrix writes this table -->\n", "<!-- matrix: end -->\n"


def main():
    rows, readme = map(pathlib.Path, sys.argv[1:])
    order = sorted(rows.iterdir(), key=lambda path: [int(part) for part in path.name.split(".")])
    table = "| Envoy | tests passed | failed | works with the least capabilities |\n|---|---|---|---|\n"
    table += "".join(path.read_text() for path in order)
    before, _, rest = readme.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    if not rest:
        sys.exit(f"{readme} has no marker {BEGIN}")
    readme.write_text(before + BEGIN + table + END + after)


main()
