#!/usr/bin/env python3
"""Links in the documentation: each to a file leads to one, each to a heading has one, and each page of docs/ is in docs/SUMMARY.md."""

import pathlib
import re
import subprocess
import sys

LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(text):
    """The anchors that GitHub makes of headings."""
    for heading in re.findall(r"^#+ (.*)$", text, re.M):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def main():
    wrong = []
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], capture_output=True, text=True)
    files = [pathlib.Path(name) for name in listed.stdout.split()]
    links = 0
    for file in files:
        for target in LINK.findall(re.sub(r"(?ms)^ *```.*?^ *```", "", file.read_text())):
            if re.match(r"[a-z]+:", target):
                continue
            links += 1
            path, _, anchor = target.partition("#")
            found = (file.parent / path).resolve() if path else file.resolve()
            if not found.exists():
                wrong.append(f"{file}: {target} leads nowhere")
            elif anchor and anchor not in anchors(found.read_text()):
                wrong.append(f"{file}: {target}: no such heading")
    chapters = set(LINK.findall(pathlib.Path("docs/SUMMARY.md").read_text()))
    pages = {path.name for path in pathlib.Path("docs").glob("*.md")} - {"SUMMARY.md"}
    wrong += [f"docs/{name}: is in no chapter of docs/SUMMARY.md" for name in sorted(pages - chapters)]
    print("\n".join([*wrong, f"links: {links} in {len(files)} files"]))
    sys.exit(bool(wrong))


main()
