#!/usr/bin/env python3
"""What the manifests for Istio and Envoy Gateway make of an Envoy, run through `envoy --mode validate`.

Plugins are put before the router, patches are applied as their control planes do (EnvoyFilter merges, EnvoyPatchPolicy is a JSON
patch), and Envoy loads the filter with each configuration. At the end the same with mistakes, which Envoy must refuse.

Usage: manifests.py ENVOY
"""

import copy
import json
import pathlib
import subprocess
import sys
import tempfile

import yaml
from jsonpath_ng.ext import parse

WASM = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"
TEXT = "type.googleapis.com/google.protobuf.StringValue"
ROUTER = "envoy.filters.http.router"
GATEWAY_FILTER = "envoy.filters.http.wasm/envoyextensionpolicy/{namespace}/{name}/wasm/0"


def documents(path):
    return list(yaml.safe_load_all(pathlib.Path(path).read_text()))


def plain():
    """The shipped bootstrap without the filter."""
    bootstrap = documents("envoy/seawall.yaml")[0]
    bootstrap.pop("stats_config")
    manager = manager_of(bootstrap)
    manager["http_filters"] = [each for each in manager["http_filters"] if each["name"] == ROUTER]
    del manager["http_filters"][0]["typed_config"]["upstream_http_filters"]
    return bootstrap


def manager_of(bootstrap):
    return bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]


def plugin(name, configuration, vm_id=""):
    text = configuration if isinstance(configuration, str) else json.dumps(configuration)
    code = {"local": {"filename": "/var/lib/seawall/seawall.wasm"}}
    machine = {"vm_id": vm_id, "runtime": "envoy.wasm.runtime.v8", "code": code}
    config = {"name": name, "vm_config": machine, "configuration": {"@type": TEXT, "value": text}}
    return {"name": name, "typed_config": {"@type": WASM, "config": config}}


def merged(base, patch):
    """As protobuf merges: messages by field, lists one after the other."""
    if isinstance(base, dict) and isinstance(patch, dict):
        for key, value in patch.items():
            base[key] = merged(base[key], value) if key in base else copy.deepcopy(value)
        return base
    return base + copy.deepcopy(patch) if isinstance(base, list) else patch


def apply_envoy_filter(bootstrap, resource):
    for patch in resource["spec"]["configPatches"]:
        how = patch["patch"]
        assert how["operation"] == "MERGE", f"{how['operation']} is not known here"
        if patch["applyTo"] == "BOOTSTRAP":
            merged(bootstrap, how["value"])
            continue
        assert patch["applyTo"] == "HTTP_FILTER", f"{patch['applyTo']} is not known here"
        name = patch["match"]["listener"]["filterChain"]["filter"]["subFilter"]["name"]
        found = [each for each in manager_of(bootstrap)["http_filters"] if each["name"] == name]
        assert found, f"there is no filter {name}"
        merged(found[0], how["value"])


def apply_patch_policy(bootstrap, resource):
    for patch in resource["spec"]["jsonPatches"]:
        operation = patch["operation"]
        found = parse(operation["jsonPath"]).find(bootstrap["static_resources"]["listeners"][0])
        assert found, f"{operation['jsonPath']} finds nothing"
        for match in found:
            if "path" in operation:
                match.value[operation["path"].removeprefix("/")] = copy.deepcopy(operation["value"])
            else:
                assert operation["op"] == "replace"
                match.context.value[str(match.path)] = operation["value"]


class Envoy:
    def __init__(self, binary):
        self.binary, self.count = binary, 0

    def takes(self, bootstrap):
        """Whether it takes a bootstrap, and what it said."""
        self.count += 1
        text = yaml.safe_dump(bootstrap, width=100000).replace("/var/lib/seawall/seawall.wasm", "dist/seawall.wasm")
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(text)
            file.flush()
            command = [self.binary, "--mode", "validate", "--use-dynamic-base-id", "-l", "error", "-c", file.name]
            ran = subprocess.run(command, capture_output=True, text=True)
        return ran.returncode == 0, ran.stdout + ran.stderr


def plugins(resource):
    """Name and configuration of each plugin in a resource."""
    spec, metadata = resource["spec"], resource["metadata"]
    match resource["kind"]:
        case "WasmPlugin":
            yield f"{metadata['namespace']}.{metadata['name']}", spec["pluginConfig"]
        case "TrafficExtension":
            yield f"{metadata['namespace']}.{metadata['name']}", spec["wasm"]["pluginConfig"]
        # A dynamic module is no plugin of WebAssembly.
        case "EnvoyExtensionPolicy" if "wasm" in spec:
            yield GATEWAY_FILTER.format(**metadata), spec["wasm"][0]["config"]


def behind_router(bootstrap):
    """The policies of the filter behind the router."""
    router = manager_of(bootstrap)["http_filters"][-1]["typed_config"]
    return json.loads(router["upstream_http_filters"][0]["typed_config"]["config"]["configuration"]["value"])


def main():
    envoy, wrong = Envoy(sys.argv[1]), []
    patched, before = {}, {}
    for path in sorted([*pathlib.Path("examples/istio").glob("*.yaml"), *pathlib.Path("examples/envoy-gateway").glob("*.yaml")]):
        for resource in documents(path):
            bootstrap = plain()
            filters = manager_of(bootstrap)["http_filters"]
            for name, configuration in plugins(resource):
                before[path.stem] = configuration
                filters.insert(0, plugin(name, configuration))
            match resource["kind"]:
                case "EnvoyFilter":
                    apply_envoy_filter(bootstrap, resource)
                case "EnvoyPatchPolicy":
                    name = GATEWAY_FILTER.format(**resource["metadata"])
                    filters.insert(0, plugin(name, before["envoyextensionpolicy"], "envoyextensionpolicy/default/seawall/wasm/0"))
                    apply_patch_policy(bootstrap, resource)
                    config = filters[0]["typed_config"]["config"]
                    if config["vm_config"]["vm_id"] != "seawall" or config["failure_policy"] != "FAIL_RELOAD":
                        wrong.append(f"{path}: the filter before the router was not patched: {config}")
                case "EnvoyProxy":
                    merged(bootstrap, yaml.safe_load(resource["spec"]["bootstrap"]["value"]))
                case "DestinationRule":
                    continue
            patched[path.stem] = bootstrap
            taken, said = envoy.takes(bootstrap)
            if not taken:
                wrong.append(f"{path}: Envoy refuses what it makes: {said}")
    # Both positions hold the same policies, and the two plugins of Istio say the same.
    same = [
        ("wasmplugin", before["trafficextension"]),
        ("wasmplugin", behind_router(patched["envoyfilter-upstream"])),
        ("envoyextensionpolicy", behind_router(patched["envoypatchpolicy"])),
    ]
    wrong += [f"{name}: its policies differ from {other}" for name, other in same if before[name] != other]
    tags = [patched[name]["stats_config"] for name in ("envoyfilter-stats-tags", "envoyproxy")]
    if any(each != documents("envoy/seawall.yaml")[0]["stats_config"] for each in tags):
        wrong.append("the stats tags differ from those in envoy/seawall.yaml")
    # Mistakes are seen: in a policy, by the filter; in a patch, by Envoy.
    for name, old, new in (("wasmplugin", "breaker", "braker"), ("envoypatchpolicy", "upstream_http_filters", "upstream_filters")):
        broken = yaml.safe_load(yaml.safe_dump(patched[name], width=100000).replace(old, new))
        if envoy.takes(broken)[0]:
            wrong.append(f"{name}: Envoy takes {new} in the place of {old}")
    print("\n".join(wrong))
    print(f"manifests: Envoy took what {len(patched)} files make, and refused 2 mistakes")
    sys.exit(bool(wrong))


main()
