#!/usr/bin/env python3
"""The filter as OCI images in an image layout, and the rules by which Istio and Envoy Gateway read one.

Usage: oci.py make WASM VERSION DIRECTORY    writes the layout; the same module gives the same bytes
       oci.py check WASM DIRECTORY           reads it as both fetchers do

Two tags. VERSION is an index of ordinary images (amd64, arm64) that share one layer with plugin.wasm, the "compat" layout of the Wasm
image specification; Kubernetes mounts it as an image volume, too. VERSION-artifact is the layout of two layers with media types of its own.
"""

import gzip
import hashlib
import io
import json
import pathlib
import shutil
import struct
import sys
import tarfile
import zlib

OCI = "application/vnd.oci.image."
MANIFEST, INDEX, CONFIG = OCI + "manifest.v1+json", OCI + "index.v1+json", OCI + "config.v1+json"
LAYER = OCI + "layer.v1.tar+gzip"
WASM_LAYER = "application/vnd.module.wasm.content.layer.v1+wasm"
WASM_CONFIG = "application/vnd.module.wasm.config.v1+json"
# Both fetchers look for this name.
PLUGIN = "plugin.wasm"
TAG = "org.opencontainers.image.ref.name"


def stored_gzip(data):
    """gzip without compression: every zlib packs in another way, and the digest shall be one on all machines."""
    out = bytearray(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff")
    for at in range(0, len(data), 65535):
        block = data[at : at + 65535]
        out += struct.pack("<BHH", at + 65535 >= len(data), len(block), len(block) ^ 0xFFFF) + block
    return bytes(out + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF))


def tar_of(wasm):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        entry = tarfile.TarInfo(PLUGIN)
        # No time, no owner, no rights of this machine.
        entry.size, entry.mode, entry.mtime = len(wasm), 0o644, 0
        tar.addfile(entry, io.BytesIO(wasm))
    return packed.getvalue()


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Layout:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.blobs = self.directory / "blobs" / "sha256"

    def add(self, media_type, content, **more):
        """Stores bytes, or what is to be JSON, and returns the descriptor."""
        data = content if isinstance(content, bytes) else json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
        (self.blobs / digest(data).removeprefix("sha256:")).write_bytes(data)
        return {"mediaType": media_type, "digest": digest(data), "size": len(data), **more}

    def get(self, descriptor):
        data = (self.blobs / descriptor["digest"].removeprefix("sha256:")).read_bytes()
        assert digest(data) == descriptor["digest"] and len(data) == descriptor["size"], f"{descriptor} is not what it says"
        return data

    def tags(self):
        index = json.loads((self.directory / "index.json").read_text())
        return {each["annotations"][TAG]: each for each in index["manifests"]}


def make(wasm, version, directory):
    shutil.rmtree(directory, ignore_errors=True)
    layout = Layout(directory)
    layout.blobs.mkdir(parents=True)
    about = {
        "org.opencontainers.image.title": "seawall",
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.description": "A resilience filter for Envoy",
    }
    tar = tar_of(wasm)
    layer = layout.add(LAYER, stored_gzip(tar))
    images = []
    for architecture in ("amd64", "arm64"):
        platform = {"architecture": architecture, "os": "linux"}
        config = layout.add(CONFIG, {**platform, "config": {}, "rootfs": {"type": "layers", "diff_ids": [digest(tar)]}})
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer], "annotations": about}
        images.append(layout.add(MANIFEST, manifest, platform=platform))
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": images, "annotations": about}
    settings = {"type": "envoy_proxy", "abiVersions": ["v0-2-1"], "config": {"rootIds": ["seawall-down", "seawall-up"]}}
    artifact = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": layout.add(WASM_CONFIG, settings),
        "layers": [layout.add(WASM_CONFIG, settings), layout.add(WASM_LAYER, wasm)],
        "annotations": about,
    }
    tagged = [
        layout.add(INDEX, index, annotations={TAG: version}),
        layout.add(MANIFEST, artifact, annotations={TAG: f"{version}-artifact"}),
    ]
    (layout.directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (layout.directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": tagged}, indent=1) + "\n")
    for name, descriptor in layout.tags().items():
        print(f"oci: {directory}:{name} {descriptor['digest']}")


def by_compat(layout, layers):
    """The last layer is a tar with gzip, and holds a file whose last name is plugin.wasm."""
    if not layers:
        raise ValueError("number of layers must be greater than zero")
    if layers[-1]["mediaType"] != LAYER:
        raise ValueError(f"invalid media type {layers[-1]['mediaType']}")
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(layout.get(layers[-1])))) as tar:
        for entry in tar:
            if pathlib.PurePosixPath(entry.name).name == PLUGIN:
                return tar.extractfile(entry).read()
    raise ValueError(f"{PLUGIN} not found in the archive")


def by_artifact(layout, layers):
    """There are two layers, and one of them is the module as it is."""
    if len(layers) != 2:
        raise ValueError(f"number of layers must be 2 but got {len(layers)}")
    for layer in layers:
        if layer["mediaType"] == WASM_LAYER:
            return layout.get(layer)
    raise ValueError(f"could not find the layer of type {WASM_LAYER}")


def fetched(layout, descriptor, architecture="amd64"):
    """What Istio's and Envoy Gateway's image fetchers (one is the other's copy) make of a tag: how, and the module."""
    content = json.loads(layout.get(descriptor))
    if content["mediaType"] == INDEX:
        # Their library takes the image for its platform, linux/amd64 where nothing is said.
        [descriptor] = [each for each in content["manifests"] if each["platform"] == {"architecture": architecture, "os": "linux"}]
        content = json.loads(layout.get(descriptor))
    errors = []
    for how in (by_compat, by_artifact):
        try:
            return how.__name__, how(layout, content["layers"])
        except ValueError as error:
            errors.append(str(error))
    raise SystemExit(f"oci: neither layout fits: {errors}")


def check(wasm, directory):
    layout = Layout(directory)
    ways = set()
    for name, descriptor in layout.tags().items():
        for architecture in ("amd64", "arm64"):
            how, module = fetched(layout, descriptor, architecture)
            assert module == wasm, f"{name} holds another module"
            ways.add((name.endswith("-artifact"), how))
    assert ways == {(False, "by_compat"), (True, "by_artifact")}, ways
    known = {path.name for path in layout.blobs.iterdir()}
    assert all(hashlib.sha256((layout.blobs / name).read_bytes()).hexdigest() == name for name in known)
    print(f"oci: both fetchers read the module from each of {len(layout.tags())} tags; {len(known)} blobs are what their names say")


def main():
    match sys.argv[1:]:
        case ["make", wasm, version, directory]:
            make(pathlib.Path(wasm).read_bytes(), version, directory)
        case ["check", wasm, directory]:
            check(pathlib.Path(wasm).read_bytes(), directory)
        case _:
            sys.exit(__doc__)


main()
