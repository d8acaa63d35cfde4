#!/usr/bin/env python3
"""Prints the fields of Envoy's messages, as the descriptors within an Envoy binary have them.

    scripts/envoy-fields.py .tools/envoy > test-harness/src/check/envoy_fields.txt

One line is one message, `name field:kind field:kind ...`, or one enum, `name = word word ...`, each in the order of their
names. A kind is `-` for what is not judged, `duration`, or the name of a message or an enum; `*` before it stands for a map.
"""
import re
import sys

# What `seawall check` goes through. What these refer to follows, but for access logs, tracers and the like.
ROOTS = """
envoy.config.bootstrap.v3.Bootstrap
envoy.config.listener.v3.Listener
envoy.config.cluster.v3.Cluster
envoy.config.route.v3.RouteConfiguration
envoy.config.core.v3.TypedExtensionConfig
envoy.extensions.filters.http.router.v3.Router
envoy.extensions.filters.http.wasm.v3.Wasm
envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
envoy.extensions.upstreams.http.v3.HttpProtocolOptions
""".split()
FOLLOWED = re.compile(
    r"envoy\.(config\.(bootstrap|listener|cluster|route|endpoint)\.v3|extensions\.(wasm|filters\.http\.wasm|filters\.http\.router"
    r"|filters\.network\.http_connection_manager|upstreams\.http)\.v3"
    r"|config\.core\.v3\.(AsyncDataSource|DataSource|RemoteDataSource|HttpUri|RetryPolicy|BackoffStrategy|TypedExtensionConfig"
    r"|HttpProtocolOptions|Http1ProtocolOptions|Http2ProtocolOptions|Http3ProtocolOptions|UpstreamHttpProtocolOptions"
    r"|RoutingPriority|TrafficDirection|ConfigSource|AggregatedConfigSource|PathConfigSource|Metadata)$)"
)
FIELDS = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14}


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def fields(data, at=0, end=None, known=None):
    """Each field's number and value; ends before the first field that is not known."""
    end = len(data) if end is None else end
    names = 0
    while at < end:
        tag, after = varint(data, at)
        number, wire = tag >> 3, tag & 7
        names += number == 1
        if known and (number not in known or names > 1 or wire not in (0, 2)):
            return
        if wire == 0:
            value, at = varint(data, after)
        elif wire == 2:
            length, after = varint(data, after)
            value, at = data[after : after + length], after + length
        elif wire == 5:
            value, at = None, after + 4
        else:
            value, at = None, after + 8
        yield number, value


def field(data):
    name, label, kind, kind_name = "", 1, 0, ""
    for number, value in fields(data):
        if number == 1:
            name = value.decode()
        elif number == 4:
            label = value
        elif number == 5:
            kind = value
        elif number == 6:
            kind_name = value.decode().lstrip(".")
    return name, label, kind, kind_name


def message(data, prefix, messages, enums):
    name, own, is_map = "", [], False
    inner = []
    for number, value in fields(data):
        if number == 1:
            name = prefix + value.decode()
        elif number == 2:
            own.append(field(value))
        elif number in (3, 4):
            inner.append((number, value))
        elif number == 7:
            is_map = any(key == 7 and value for key, value in fields(value))
    messages[name] = (own, is_map)
    for number, value in inner:
        (message if number == 3 else enum)(value, name + ".", messages, enums)


def enum(data, prefix, messages, enums):
    name, words = "", []
    for number, value in fields(data):
        if number == 1:
            name = prefix + value.decode()
        elif number == 2:
            words += [inner.decode() for key, inner in fields(value) if key == 1]
    enums[name] = words


def descriptors(binary):
    messages, enums = {}, {}
    for found in re.finditer(rb"\n([\x10-\x7f])(envoy/[a-z0-9_/]+\.proto)\x12", binary):
        if found.group(1)[0] != len(found.group(2)):
            continue
        package = ""
        for number, value in fields(binary, found.start(), None, FIELDS):
            if number == 2:
                package = value.decode() + "."
            elif number == 4:
                message(value, package, messages, enums)
            elif number == 5:
                enum(value, package, messages, enums)
    return messages, enums


def main():
    with open(sys.argv[1], "rb") as file:
        messages, enums = descriptors(file.read())
    lines, todo, seen = [], list(ROOTS), set(ROOTS)

    def kind(number, name):
        if name == "google.protobuf.Duration":
            return "duration"
        if number == 14 and name in enums and FOLLOWED.match(name):
            lines.append(f"{name} = {' '.join(enums[name])}")
            return name
        if number == 11 and name in messages and FOLLOWED.match(name):
            if name not in seen:
                seen.add(name)
                todo.append(name)
            return name
        return "-"

    while todo:
        name = todo.pop()
        line = [name]
        for own, _, number, of in messages[name][0]:
            if of in messages and messages[of][1]:
                _, _, number, of = next(inner for inner in messages[of][0] if inner[0] == "value")
                line.append(f"{own}:*{kind(number, of)}")
            else:
                line.append(f"{own}:{kind(number, of)}")
        lines.append(" ".join(line))
    print("\n".join(sorted(set(lines))))


main()
