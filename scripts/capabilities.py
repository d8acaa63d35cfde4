#!/usr/bin/env python3
"""The least that the filter needs of Envoy, as capability_restriction_config: what the module imports, and what it is called by.

Usage: capabilities.py make WASM                     prints envoy/capabilities.yaml
       capabilities.py test ENVOY UPSTREAM WASM      runs a real Envoy with it, and with one function less

Envoy 1.40 has the key in vm_config, earlier versions in config.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import yaml

import ports

FILE = pathlib.Path("envoy/capabilities.yaml")
HEAD = """\
# The least that the filter needs: what its module imports, and the callbacks that it has. Whatever else is called answers with an error.
# Made by scripts/capabilities.py from dist/seawall.wasm; `make test` runs a real Envoy with it. In both positions:
#
#   config:
#     vm_config:
#       capability_restriction_config: {allowed_capabilities: {...}}     # Envoy 1.40 and later
#     capability_restriction_config: {allowed_capabilities: {...}}       # Envoy 1.39 and earlier
"""


def number(data, at):
    """A LEB128 number and what follows it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def names(path):
    """The functions that a module imports, and those it exports for Envoy to call."""
    data, at, found = pathlib.Path(path).read_bytes(), 8, set()

    def text(at):
        length, at = number(data, at)
        return data[at : at + length].decode(), at + length

    while at < len(data):
        section = data[at]
        length, begin = number(data, at + 1)
        if section in (2, 7):
            count, here = number(data, begin)
            for _ in range(count):
                if section == 2:
                    _, here = text(here)
                name, here = text(here)
                kind, here = data[here], here + 1
                _, here = number(data, here)
                if kind == 0 and (section == 2 or name.startswith("proxy_on_")):
                    found.add(name)
        at = begin + length
    return sorted(found)


def made(wasm):
    return HEAD + "allowed_capabilities:\n" + "".join(f"  {name}: {{}}\n" for name in names(wasm))


class Trial:
    """A real Envoy with some capabilities, before an upstream that fails."""

    def __init__(self, work, envoy, upstream, wasm, capabilities):
        self.edge, self.admin, backend, self.knobs = ports.free(4)
        text = pathlib.Path("envoy/seawall.yaml").read_text().replace("dist/seawall.wasm", wasm)
        for old, new in ((10000, self.edge), (9901, self.admin), (8080, backend)):
            text = text.replace(f"port_value: {old}", f"port_value: {new}")
        config = yaml.safe_load(text.replace('"mode": "shadow"', '"mode": "enforce"'))
        version = tuple(map(int, re.search(r"/(\d+)\.(\d+)\.", subprocess.run([envoy, "--version"], capture_output=True, text=True).stdout).groups()))
        manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        router = manager["http_filters"][-1]["typed_config"]
        for each in (manager["http_filters"][0], router["upstream_http_filters"][0]):
            plugin = each["typed_config"]["config"]
            holder = plugin["vm_config"] if version >= (1, 40) else plugin
            holder["capability_restriction_config"] = {"allowed_capabilities": {name: {} for name in capabilities}}
        path = work / "envoy.yaml"
        path.write_text(yaml.safe_dump(config))
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.processes = [
            subprocess.Popen([upstream, "--listen", f"backend=127.0.0.1:{backend}", "--admin", f"127.0.0.1:{self.knobs}"], **quiet),
            subprocess.Popen([envoy, "-c", path, "--use-dynamic-base-id", "--concurrency", "1", "-l", "off"], **quiet),
        ]

    def get(self, port, path="/", body=None):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data=body, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""

    def run(self):
        """How many of 20 requests to a well upstream were answered, and what the filter counted once it failed."""
        for _ in range(300):
            if any(each.poll() is not None for each in self.processes):
                sys.exit("capabilities: Envoy or the upstream ended before it answered")
            try:
                if self.get(self.edge)[0] == 200:
                    break
            except OSError:
                pass
            time.sleep(0.1)
        else:
            sys.exit("capabilities: no good answer within 30 s")
        good = sum(self.get(self.edge)[0] == 200 for _ in range(20))
        self.get(self.knobs, "/backend", json.dumps({"error_rate": 1}).encode())
        # More failures than half of all: the breaker opens.
        for _ in range(60):
            self.get(self.edge)
        # Counters come at a tick, every 0.4 s.
        time.sleep(1)
        stats = self.get(self.admin, "/stats?filter=seawall_")[1]
        return good, {line.split(": ")[0].removeprefix("wasmcustom."): int(line.split(": ")[1]) for line in stats.splitlines() if ": " in line and "P0" not in line}

    def end(self):
        for each in self.processes:
            each.terminate()
        for each in self.processes:
            each.wait()


def trial(envoy, upstream, wasm, capabilities):
    with tempfile.TemporaryDirectory() as work:
        running = Trial(pathlib.Path(work), envoy, upstream, wasm, capabilities)
        try:
            return running.run()
        finally:
            running.end()


def healthy(good, counted):
    refused = sum(value for name, value in counted.items() if "decision=refused" in name)
    errors = [name for name in counted if name.startswith(("seawall_host_errors", "seawall_undecided"))]
    return good == 20 and refused > 0 and not errors


def test(envoy, upstream, wasm):
    if FILE.read_text() != made(wasm):
        sys.exit(f"capabilities: {FILE} is not what the module needs: scripts/capabilities.py make {wasm} > {FILE}")
    needed = list(yaml.safe_load(FILE.read_text())["allowed_capabilities"])
    good, counted = trial(envoy, upstream, wasm, needed)
    if not healthy(good, counted):
        sys.exit(f"capabilities: with all {len(needed)} the filter does not work: {good} of 20, {counted}")
    without = [name for name in needed if name != "proxy_set_shared_data"]
    if healthy(*trial(envoy, upstream, wasm, without)):
        sys.exit("capabilities: without proxy_set_shared_data all works as well: they restrict nothing")
    print(f"capabilities: {len(needed)} are enough, and with one less the breaker does not work")


def main():
    match sys.argv[1:]:
        case ["make", wasm]:
            print(made(wasm), end="")
        case ["test", envoy, upstream, wasm]:
            test(envoy, upstream, str(pathlib.Path(wasm).resolve()))
        case _:
            sys.exit(__doc__)


main()
