#!/usr/bin/env bash
# Prints the bill of materials of the binary as CycloneDX 1.5: what is linked into it
# is "required", what only runs during the build is "excluded". It is made from
# cargo's lock file and metadata.
# Usage: scripts/sbom.sh TARGET
set -euo pipefail
cd "$(dirname "$0")/.."

python3 - "$1" <<'PYTHON'
import json
import subprocess
import sys

target = sys.argv[1]
metadata = json.loads(subprocess.check_output(
    ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]))
packages = {package["id"]: package for package in metadata["packages"]}
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
root = next(package["id"] for package in metadata["packages"]
            if package["name"] == "osm-cni" and package["source"] is None)
lock = {}
for block in open("Cargo.lock").read().split("[[package]]")[1:]:
    fields = dict(line.split(" = ", 1) for line in block.splitlines() if " = " in line)
    key = fields["name"].strip('"'), fields["version"].strip('"')
    lock[key] = fields.get("checksum", "").strip('"')


def needed(id, kinds):
    """Dependencies of these kinds; those of tests do not count."""
    for dep in nodes[id]["deps"]:
        if any(kind["kind"] in kinds for kind in dep["dep_kinds"]):
            yield dep["pkg"]


def is_macro(id):
    """Run by the compiler, as are its own dependencies."""
    return any("proc-macro" in target["kind"] for target in packages[id]["targets"])


def reached(next):
    found, todo = {}, [root]
    while todo:
        id = todo.pop()
        if id not in found:
            found[id] = sorted(next(id))
            todo.extend(found[id])
    return found


found = reached(lambda id: needed(id, (None, "build")))
linked = reached(lambda id: (dep for dep in needed(id, (None,)) if not is_macro(dep)))


def purl(id):
    return "pkg:cargo/{name}@{version}".format(**packages[id])


def component(id):
    package = packages[id]
    about = {"type": "library", "bom-ref": purl(id), "name": package["name"],
             "version": package["version"], "purl": purl(id),
             "scope": "required" if id in linked else "excluded"}
    if package["license"]:
        about["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    checksum = lock.get((package["name"], package["version"]))
    if checksum:
        about["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return about


print(json.dumps({
    "bomFormat": "CycloneDX",
    "specVersion": "1.5",
    "version": 1,
    "metadata": {"component": {**component(root), "type": "application"}},
    "components": [component(id) for id in sorted(found, key=purl) if id != root],
    "dependencies": [{"ref": purl(id), "dependsOn": sorted(map(purl, found[id]))}
                     for id in sorted(found, key=purl)],
}, indent=1))
PYTHON
