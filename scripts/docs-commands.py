#!/usr/bin/env python3
"""Whole policies in the documentation are valid, and the commands of docs/getting-started.md that need no Envoy work as they stand.

Usage: docs-commands.py SEAWALL
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

BLOCK = re.compile(r"(?ms)^```(\w+)\n(.*?)^```")


def log(path):
    """An access log as the shipped configurations write it, with a minute in which everything fails."""
    lines = []
    for second in range(180):
        for part in range(10):
            failed = 60 <= second < 120
            lines.append({
                "start_time": f"2026-11-30T10:{second // 60:02}:{second % 60:02}.{part}00Z", "method": "GET", "path": "/", "duration": 20,
                "response_code": 503 if failed else 200, "response_flags": "-", "upstream_cluster": "recommendations",
            })
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def main():
    seawall = pathlib.Path(sys.argv[1]).resolve()
    files = [pathlib.Path("README.md"), *sorted(pathlib.Path("docs").glob("*.md"))]
    root, wrong, policies, commands = pathlib.Path.cwd(), [], 0, 0
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        for name in ("target", "examples", "envoy", "dist"):
            (work / name).symlink_to(root / name)
        log(work / "access.log")
        for file in files:
            for language, text in BLOCK.findall(file.read_text()):
                # "{...}" stands for what is left out.
                if language != "yaml" or not re.match(r"version: 1\npolicies:", text) or "..." in text:
                    continue
                policies += 1
                (work / "policy.yaml").write_text(text)
                ran = subprocess.run([seawall, "check", "policy.yaml"], cwd=work, capture_output=True, text=True)
                if ran.returncode:
                    wrong.append(f"{file}: {ran.stdout}{ran.stderr}")
        # The last policy of the guide is the one that its commands would try.
        guide = BLOCK.findall(pathlib.Path("docs/getting-started.md").read_text())
        (work / "policy.yaml").write_text([text for language, text in guide if language == "yaml"][-1])
        for language, text in guide:
            for line in text.splitlines() if language == "sh" else []:
                if not line.startswith("target/release/seawall "):
                    continue
                commands += 1
                ran = subprocess.run(["sh", "-c", line], cwd=work, capture_output=True, text=True)
                if ran.returncode:
                    wrong.append(f"docs/getting-started.md: {line}: {ran.stdout}{ran.stderr}")
    print("\n".join([*wrong, f"docs: {policies} policies are valid, {commands} commands work"]))
    sys.exit(bool(wrong))


main()
