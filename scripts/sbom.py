#!/usr/bin/env python3
"""A software bill of materials (CycloneDX 1.5) of what is shipped: the filter and the programs, with all that is compiled into them.

It is made of `cargo metadata` and Cargo.lock alone, so the same lock gives the same bytes.

Usage: sbom.py OUT
"""

import json
import pathlib
import re
import subprocess
import sys
import uuid

# What the programs are given on for. The filter needs the same packages on every target.
PLATFORM = "x86_64-unknown-linux-gnu"
SHIPPED = ("seawall-filter", "seawall-harness", "seawall-live")


def checksums():
    """The sha256 of each package from a registry, by name and version."""
    lock = pathlib.Path("Cargo.lock").read_text()
    found = re.findall(r'name = "([^"]+)"\nversion = "([^"]+)"\nsource = "[^"]+"\nchecksum = "([^"]+)"', lock)
    return {(name, version): checksum for name, version, checksum in found}


def component(package, checksum):
    purl = f"pkg:cargo/{package['name']}@{package['version']}"
    made = {"type": "library", "bom-ref": purl, "name": package["name"], "version": package["version"], "purl": purl}
    if package["license"]:
        # An old way to write OR.
        made["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if checksum:
        made["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return made


def main():
    [out] = sys.argv[1:]
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", PLATFORM]
    metadata = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    packages = {each["id"]: each for each in metadata["packages"]}
    nodes = {each["id"]: each for each in metadata["resolve"]["nodes"]}
    sums = checksums()

    def needs(identity):
        """What is compiled into a package: what only its tests or its build script need is not."""
        for each in nodes[identity]["deps"]:
            if any(kind["kind"] is None for kind in each["dep_kinds"]):
                yield each["pkg"]

    roots = [each["id"] for each in metadata["packages"] if each["name"] in SHIPPED]
    met, ahead = set(roots), list(roots)
    while ahead:
        for each in needs(ahead.pop()):
            if each not in met:
                met.add(each)
                ahead.append(each)
    made = {each: component(packages[each], sums.get((packages[each]["name"], packages[each]["version"]))) for each in met}
    order = sorted(made, key=lambda each: made[each]["bom-ref"])
    version = packages[roots[0]]["version"]
    main_component = {"type": "application", "bom-ref": "seawall", "name": "seawall", "version": version,
                      "licenses": [{"expression": "Apache-2.0"}]}
    graph = [{"ref": "seawall", "dependsOn": sorted(made[each]["bom-ref"] for each in roots)}]
    graph += [{"ref": made[each]["bom-ref"], "dependsOn": sorted(made[need]["bom-ref"] for need in set(needs(each)))} for each in order]
    bom = {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": main_component},
        "components": [made[each] for each in order],
        "dependencies": graph,
    }
    bom["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(bom, sort_keys=True))}"
    pathlib.Path(out).write_text(json.dumps(bom, indent=1) + "\n")
    print(f"sbom: {out}, {len(made)} packages")


main()
