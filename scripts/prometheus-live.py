#!/usr/bin/env python3
"""The shipped rules and dashboard against a real Prometheus that scrapes two real Envoys with the filter under load.

An upstream is well, sick, well again, overloaded; a policy with a mistake comes. One page must come for both Envoys, and go. Every recording rule and every
query of the dashboard must have had data, or stand in RARE. Times in rules are a twelfth of what ships, so that it takes a minute.

Usage: prometheus-live.py DIRECTORY_OF_PROMETHEUS ENVOY UPSTREAM WASM
"""

import datetime
import http.client
import http.server
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

import yaml

import ports
import shorter_rules

# What nothing in this test makes happen, and only then has data.
RARE = [
    "seawall_half_open_starved",
    "degradations_per_outage",
    "seawall_undecided",
    "seawall_host_errors",
    "seawall_probes",
    "breaker_shadow_refused",
    'decision="shadow_refused"',
    "breaker_forced_open",
    "bulkhead",
    "requests_over_limit",
    "unknown_policy",
    "records_replaced",
]
POLICY = {
    "version": 1,
    "policies": {
        "default": {
            "breaker": {"consecutive": 5, "open": {"for": "1s", "up_to": "2s"}, "half_open": {"permits": 3}, "ramp": "1s"},
            "retries": {"attempts": 2, "budget": {"ratio": 20}},
            "shedding": {"limit": "adaptive", "min": 4, "max": 8},
            "fallback": [{"on": ["failure"], "stale": {"max_age": "1m"}}, {"on": ["open"], "static": {"body": "[]"}}],
        }
    },
}


def get(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


def until(what, seconds, question):
    """Waits for an answer; says how long it took."""
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        try:
            found = question()
        except OSError:
            found = None
        if found:
            print(f"prometheus: {what}: after {time.monotonic() - begin:.1f} s", flush=True)
            return found
        time.sleep(0.2)
    raise SystemExit(f"prometheus: {what}: not within {seconds} s")


class Load:
    """Clients that ask each Envoy at a steady rate; every tenth leaves before it is answered."""

    def __init__(self, ports):
        self.over = threading.Event()
        self.clients = 4
        self.ports = ports
        for number in range(24):
            threading.Thread(target=self.client, args=(number,), daemon=True).start()

    def client(self, number):
        count = number
        while not self.over.wait(0.04):
            if number >= self.clients:
                continue
            count += 1
            port = self.ports[count % len(self.ports)]
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3)
                connection.request("GET", "/page")
                if count % 10:
                    connection.getresponse().read()
                connection.close()
            except (OSError, http.client.HTTPException):
                pass


class Notifications:
    """Stands where Alertmanager would, and keeps what Prometheus tells it."""

    def __init__(self):
        self.told = []
        told = self.told

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                told.extend(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def pages(self, resolved=False):
        """Name and upstream of each page that was told, or told to be over."""
        now = datetime.datetime.now(datetime.timezone.utc)
        return {
            (alert["labels"]["alertname"], alert["labels"].get("upstream"))
            for alert in self.told
            if alert["labels"]["severity"] == "page" and (datetime.datetime.fromisoformat(alert["endsAt"].replace("Z", "+00:00")) < now or not resolved)
        }


def write_envoy(work, name, wasm, ports):
    listener, admin, upstream = ports
    text = pathlib.Path("envoy/seawall.yaml").read_text()
    for old, new in (("10000", listener), ("9901", admin), ("8080", upstream)):
        text = text.replace(f"port_value: {old}", f"port_value: {new}")
    text = text.replace("dist/seawall.wasm", wasm)
    text, count = re.subn(r"value: \|\n((?: {14,})[{}\" ].*\n)+", f"value: '{json.dumps(POLICY)}'\n", text)
    assert count == 2, f"{count} policies in envoy/seawall.yaml"
    config = yaml.safe_load(text)
    # Listeners come by LDS, so that they can be replaced.
    listeners = config["static_resources"].pop("listeners")
    config["dynamic_resources"] = {"lds_config": {"path_config_source": {"path": str(work / f"{name}-listeners.yaml")}}}
    config["node"] = {"id": name, "cluster": "test"}
    write_listeners(work, name, listeners)
    path = work / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def write_listeners(work, name, listeners):
    kind = {"@type": "type.googleapis.com/envoy.config.listener.v3.Listener"}
    new = work / "new.yaml"
    new.write_text(yaml.safe_dump({"resources": [{**kind, **each} for each in listeners]}))
    # Envoy looks when a file is moved to its place.
    new.rename(work / f"{name}-listeners.yaml")


def break_policy(work, name):
    text = (work / f"{name}-listeners.yaml").read_text()
    broken = text.replace('"consecutive"', '"consecutiv"')
    assert broken != text
    write_listeners(work, name, [{k: v for k, v in each.items() if k != "@type"} for each in yaml.safe_load(broken)["resources"]])


class Prometheus:
    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}/api/v1"

    def firing(self):
        alerts = json.loads(get(f"{self.base}/alerts"))["data"]["alerts"]
        return [alert for alert in alerts if alert["state"] == "firing"]

    def pages(self):
        return [alert for alert in self.firing() if alert["labels"]["severity"] == "page"]

    def had_data(self, query, begin):
        asked = urllib.parse.urlencode({"query": query, "start": begin, "end": time.time(), "step": "1"})
        answer = json.loads(get(f"{self.base}/query_range?{asked}"))
        series = answer["data"]["result"]
        return any(value not in ("NaN", "+Inf") for each in series for _, value in each["values"])


def queries():
    """Name and query of each recording rule and of each panel's target."""
    rules = yaml.safe_load(pathlib.Path("examples/prometheus/recording.rules.yaml").read_text())
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        yield f"rule {rule['record']}", rule["record"], rule["expr"]
    dashboard = json.loads(pathlib.Path("examples/grafana/seawall.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"].replace("$__rate_interval", "10s")
            expression = re.sub(r"\$(upstream|policy|instance)\b", ".*", expression)
            assert "$" not in expression, f"a variable is left in {expression}"
            yield f"panel \"{panel['title']}\"", expression, expression


def ask_all(prometheus, begin):
    wrong, asked, rare = [], 0, 0
    for name, query, text in queries():
        asked += 1
        is_rare = any(word in text for word in RARE)
        had = prometheus.had_data(query, begin)
        rare += is_rare and not had
        if not had and not is_rare:
            wrong.append(f"{name} has no data: {query}")
    print(f"prometheus: {asked} rules and queries of the dashboard asked, {rare} of them have data only when it happens")
    return wrong


def run(work, programs, envoy, upstream, wasm, started):
    def start(*command):
        log = (work / f"{pathlib.Path(command[0]).name}-{len(started)}.log").open("w")
        started.append(subprocess.Popen([str(part) for part in command], stdout=log, stderr=log))

    backend, knobs, one, two, admin_one, admin_two, port = ports.free(7)
    notifications = Notifications()
    start(upstream, "--listen", f"backend=127.0.0.1:{backend}", "--admin", f"127.0.0.1:{knobs}")
    for name, listener, admin in (("one", one, admin_one), ("two", two, admin_two)):
        config = write_envoy(work, name, wasm, (listener, admin, backend))
        start(envoy, "-c", config, "--use-dynamic-base-id", "--concurrency", "2", "-l", "error")
    targets = [f"127.0.0.1:{admin}" for admin in (admin_one, admin_two)]
    shorter_rules.write(work, targets, f"127.0.0.1:{notifications.port}")
    start(programs / "prometheus", f"--config.file={work}/prometheus.yaml", f"--storage.tsdb.path={work}/data",
          f"--web.listen-address=127.0.0.1:{port}")
    begin = time.time()
    prometheus = Prometheus(port)

    def sick(**how):
        headers = [["cache-control", "public, max-age=0, stale-if-error=60"]]
        body = json.dumps({"answer_headers": headers, "error_rate": 0, "latency_ms": 0, **how}).encode()
        urllib.request.urlopen(f"http://127.0.0.1:{knobs}/backend", data=body, timeout=5).read()

    until("Envoys, upstream and Prometheus answer", 20,
          lambda: all(get(f"http://127.0.0.1:{admin}/ready") for admin in (admin_one, admin_two))
          and get(f"http://127.0.0.1:{port}/-/ready") and get(f"http://127.0.0.1:{knobs}/backend"))
    sick()
    load = Load((one, two))
    until("well: offered load is seen", 20, lambda: prometheus.had_data("upstream:seawall_offered:rate2m > 5", begin))
    time.sleep(4)
    assert not prometheus.pages(), f"a page while all is well: {prometheus.pages()}"
    sick(error_rate=1)
    until("sick: SeawallUpstreamDown fires", 40, prometheus.pages)
    page = prometheus.pages()
    names = [(alert["labels"]["alertname"], alert["labels"]["upstream"]) for alert in page]
    assert names == [("SeawallUpstreamDown", "backend")], f"more than one page for two Envoys: {names}"
    print(f"prometheus: it says: {page[0]['annotations']['summary']}. {page[0]['annotations']['description']}")
    until("the pager is told", 10, notifications.pages)
    sick()
    until("well again: it resolves", 40, lambda: not prometheus.pages())
    until("the pager is told that it is over", 10, lambda: notifications.pages(resolved=True))
    told = notifications.pages()
    assert told == {("SeawallUpstreamDown", "backend")}, f"the pager was told of more: {told}"
    sick(latency_ms=300, capacity=4)
    load.clients = 24
    until("overloaded: requests are shed", 20,
          lambda: prometheus.had_data("upstream:seawall_shed:ratio_rate2m > 0.05", begin))
    load.clients = 4
    sick()
    break_policy(work, "two")
    until("a policy with a mistake: SeawallConfigRejected fires", 10,
          lambda: [alert for alert in prometheus.firing() if alert["labels"]["alertname"] == "SeawallConfigRejected"])
    load.over.set()
    wrong = ask_all(prometheus, begin)
    for rule in json.loads(get(f"{prometheus.base}/rules"))["data"]["groups"]:
        wrong += [f"{each['name']}: {each['lastError']}" for each in rule["rules"] if each["health"] != "ok"]
    return wrong


def main():
    programs, envoy, upstream, wasm = sys.argv[1:]
    started = []
    with tempfile.TemporaryDirectory() as work:
        try:
            wrong = run(pathlib.Path(work), pathlib.Path(programs), envoy, upstream, wasm, started)
        finally:
            for process in reversed(started):
                process.terminate()
            for process in started:
                process.wait()
    print("\n".join(wrong))
    sys.exit(bool(wrong))


main()
