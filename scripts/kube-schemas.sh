#!/usr/bin/env bash
# Writes JSON Schemas of the Kubernetes kinds that install/ uses, in the form that
# kubeconform reads, and prints their directory. They come from the OpenAPI file
# of the Kubernetes module. Unknown fields are refused.
# Usage: scripts/kube-schemas.sh
set -euo pipefail

version=v1.37.2
root=$(realpath "$(dirname "$0")/..")
directory=$root/target/tools/kube-schemas-$version
if [ ! -e "$directory/done" ]; then
    command -v go >/dev/null || { echo "osm-cni: Go 1.21 or newer is missing" >&2; exit 1; }
    module=$(cd / && go mod download -json "k8s.io/kubernetes@$version" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
    mkdir -p "$directory"
    python3 - "$module/api/openapi-spec/swagger.json" "$directory" <<'PYTHON'
import json
import sys

source, directory = sys.argv[1:]
definitions = json.load(open(source))["definitions"]


def strict(schema):
    """Refuses unknown fields, and takes what the API server takes."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: strict(value) for key, value in schema.items()}
    if schema.get("format") == "int-or-string":
        return {"type": ["integer", "string"]}
    if "properties" in schema and "additionalProperties" not in schema:
        schema["additionalProperties"] = False
    return schema


definitions = {name: strict(one) for name, one in definitions.items()}
quantity = definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"]
quantity["type"] = ["string", "number"]


def reached(name, found):
    if name not in found:
        found[name] = definitions[name]
        for part in json.dumps(definitions[name]).split('"#/definitions/')[1:]:
            reached(part.split('"')[0], found)
    return found


for name, schema in definitions.items():
    for kind in schema.get("x-kubernetes-group-version-kind", []):
        group = kind["group"].split(".")[0]
        parts = [kind["kind"].lower()] + ([group] if group else []) + [kind["version"]]
        whole = {"$ref": "#/definitions/" + name, "definitions": reached(name, {})}
        with open(directory + "/" + "-".join(parts) + ".json", "w") as file:
            json.dump(whole, file)
PYTHON
    touch "$directory/done"
fi
echo "$directory"
