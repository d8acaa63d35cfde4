#!/usr/bin/env python3
"""The shipped rules by themselves: what every alert must have, and that its tests would see it change.

Usage: prometheus-rules.py PROMTOOL
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import yaml

HERE = pathlib.Path("examples/prometheus")
HEADINGS = ["When", "Prerequisites", "Steps", "Contacts", "Common pitfalls", "Rollback", "Testing", "Last verified"]
THRESHOLD = re.compile(r"> ([0-9.]+)(?=$| (?:and|or) )")


def alerts(rules):
    return [rule for group in rules["groups"] for rule in group["rules"]]


def complaints(rule):
    """What a rule lacks."""
    name = rule["alert"]
    if rule.get("labels", {}).get("severity") not in ("page", "ticket"):
        yield f"{name}: labels.severity must be page or ticket"
    annotations = rule.get("annotations", {})
    for key in ("summary", "description", "runbook_url"):
        if not annotations.get(key):
            yield f"{name}: annotations.{key} is missing"
    runbook = pathlib.Path(annotations.get("runbook_url", "missing"))
    if not runbook.is_file():
        yield f"{name}: there is no runbook {runbook}"
        return
    text = runbook.read_text()
    if f"`{name}`" not in text:
        yield f"{runbook}: does not name its alert, `{name}`"
    for heading in HEADINGS:
        if f"\n## {heading}\n" not in text:
            yield f'{runbook}: has no heading "## {heading}"'


def unknown_metrics():
    """Metrics of the filter that rules, dashboard and runbooks speak of and docs/configuration.md does not know."""
    known = set(re.findall(r"`(seawall_[a-z_]+)`", pathlib.Path("docs/configuration.md").read_text()))
    files = [*HERE.glob("*.yaml"), *HERE.glob("tests/*.yaml"), pathlib.Path("examples/grafana/seawall.json"), *pathlib.Path("examples/runbooks").glob("*.md")]
    for file in files:
        # seawall_(a|b) is two of them. What stands behind a colon is a recording rule's name, behind envoy_wasm_ Envoy's own.
        text = re.sub(r"\bseawall_\(([^()]*)\)", lambda found: " ".join(f"seawall_{each}" for each in found[1].split("|")), file.read_text())
        for name in re.findall(r"(?<![:\w])seawall_[a-z_]+", text):
            name = re.sub(r"_bucket$", "", name)
            # A runbook's grep takes a part of a name.
            if name not in known and not (file.suffix == ".md" and any(each.startswith(name) for each in known)):
                yield f"{file}: {name} is no metric of the filter"


def mutants(rule):
    """Expressions of an alert that never fires, and of one whose threshold is a tenth too easy to reach."""
    expression = rule["expr"]
    easier = THRESHOLD.sub(lambda found: f"> {float(found[1]) * 0.9 if float(found[1]) else -1}", expression)
    if easier == expression:
        raise SystemExit(f"{rule['alert']}: no threshold was found in {expression}")
    yield "never fires", f"({expression}) > 1e9"
    yield "is too easily reached", easier


def write_tests_of(alert, tests):
    """Only those tests that speak of an alert: all of them together take five seconds. Returns the file, or nothing."""
    whole = {"rule_files": ["../recording.rules.yaml", "../alerts.rules.yaml"], "evaluation_interval": "1m", "tests": []}
    for path in sorted(tests.glob("*.test.yaml")):
        whole["tests"] += [test for test in yaml.safe_load(path.read_text())["tests"] if f'"{alert}"' in str(test)]
    file = tests / "some.yaml"
    file.write_text(yaml.safe_dump(whole))
    return [file] if whole["tests"] else []


def main():
    promtool = pathlib.Path(sys.argv[1])
    rules = yaml.safe_load((HERE / "alerts.rules.yaml").read_text())
    wrong = [line for rule in alerts(rules) for line in complaints(rule)] + list(unknown_metrics())
    found = 0
    with tempfile.TemporaryDirectory() as work:
        copy = pathlib.Path(work) / "prometheus"
        shutil.copytree(HERE, copy)
        for rule in alerts(rules):
            original = rule["expr"]
            tests = write_tests_of(rule["alert"], copy / "tests")
            if not tests:
                wrong.append(f"{rule['alert']}: no test names it")
                continue
            for what, rule["expr"] in mutants(rule):
                (copy / "alerts.rules.yaml").write_text(yaml.safe_dump(rules))
                ran = subprocess.run([promtool, "test", "rules", *tests], capture_output=True, text=True)
                said = ran.stdout + ran.stderr
                if ran.returncode == 0:
                    wrong.append(f"{rule['alert']}: no test fails when it {what}")
                elif "got:" not in said:
                    wrong.append(f"{rule['alert']}: the changed rules cannot be read: {said}")
                else:
                    found += 1
            rule["expr"] = original
    print("\n".join(wrong))
    count = len(alerts(rules))
    print(f"rules: {count} alerts, {found} of {2 * count} changes to them are seen by their tests")
    sys.exit(bool(wrong))


main()
