#!/usr/bin/env python3
"""Makes kubernetes.schema.json: what the kinds that deploy/kubernetes uses may contain.

usage: make_schema.py          (needs npm and the network; after a change, look at the difference)

The packages are made from Kubernetes' OpenAPI schema and from the Prometheus operator's; their TypeScript interfaces
have one field a line, and are turned into
    {"kinds": {"apps/v1 Deployment": TYPE}, "types": {NAME: {"fields": {FIELD: {"type": TYPE, "required": true}}}}}
where a TYPE is "string", "number", "boolean", "any", the NAME of a type, [TYPE] for a list, {"map": TYPE},
{"literal": VALUE}, {"one of": [TYPE...]}, or {"fields": ...}.
"""

import json
import pathlib
import re
import subprocess
import tarfile
import tempfile

PACKAGES = {
    "kubernetes-models": "5.1.0",
    "@kubernetes-models/apimachinery": "3.0.2",
    "@kubernetes-models/prometheus-operator": "6.0.0",
}
KINDS = {
    "v1 ConfigMap": "IIoK8sApiCoreV1ConfigMap",
    "v1 Service": "IIoK8sApiCoreV1Service",
    "apps/v1 Deployment": "IIoK8sApiAppsV1Deployment",
    "networking.k8s.io/v1 NetworkPolicy": "IIoK8sApiNetworkingV1NetworkPolicy",
    "policy/v1 PodDisruptionBudget": "IIoK8sApiPolicyV1PodDisruptionBudget",
    "monitoring.coreos.com/v1 PodMonitor":
        "IComGithubPrometheusOperatorPrometheusOperatorPkgApisMonitoringV1PodMonitor",
}


def split(text, separator):
    """At the separators that stand outside of < > and { }."""
    parts, depth = [""], 0
    for letter in text:
        depth += letter in "<{"
        depth -= letter in ">}"
        if letter == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def type_of(text, own):
    """What a TypeScript type expression is here; `own` are the names that the file gives to what is in it."""
    text = text.strip()
    choices = split(text, "|")
    if len(choices) > 1:
        return {"one of": [type_of(choice, own) for choice in choices]}
    if text.startswith('"'):
        return {"literal": json.loads(text)}
    if text in ("string", "number", "boolean"):
        return text
    if text in ("any", "unknown", "object"):
        return "any"
    if found := re.fullmatch(r"Array<(.*)>", text, re.DOTALL):
        return [type_of(found[1], own)]
    if found := re.fullmatch(r"\{\s*\[key: string\]: (.*?);?\s*\}", text, re.DOTALL):
        return {"map": type_of(found[1], own)}
    if found := re.fullmatch(r"\{(.*)\}", text, re.DOTALL):
        return {"fields": fields_of(found[1], own)}
    if re.fullmatch(r"\w+", text):
        return own.get(text, text)
    raise ValueError(f"what is {text!r}?")


def fields_of(body, own):
    fields = {}
    for line in split(body, ";"):
        name, optional, kind = re.fullmatch(r'"([^"]+)"(\?)?:(.*)', line, re.DOTALL).groups()
        fields[name] = {"type": type_of(kind, own)}
        if not optional:
            fields[name]["required"] = True
    return fields


def read(folder):
    types = {}
    for path in folder.rglob("*.d.ts"):
        text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        own = dict(re.findall(r"(\w+) as (\w+)", " ".join(re.findall(r"export type \{([^}]*)\}", text))))
        for name, base, body in re.findall(r"export interface (\w+)(?: extends ([\w, ]+))? \{\n(.*?)^\}", text,
                                           re.DOTALL | re.MULTILINE):
            bases = [own.get(one.strip(), one.strip()) for one in (base or "").split(",") if one.strip()]
            types[own.get(name, name)] = {"bases": bases, "fields": fields_of(body, own)}
        for name, kind in re.findall(r"export type (I\w+) = ([^;]*);", text):
            types[own.get(name, name)] = {"alias": kind if "<" in kind and "Array" not in kind else type_of(kind, own)}
    return types


def flat(name, types):
    """A type's own fields, and those of what it extends."""
    fields = {}
    for base in types[name].get("bases", []):
        if base == "TypeMeta":
            continue
        fields.update(flat(base, types))
    return {**fields, **types[name]["fields"]}


def named(kind):
    if isinstance(kind, str):
        return {kind} - {"string", "number", "boolean", "any"}
    if isinstance(kind, list):
        return named(kind[0])
    if "map" in kind:
        return named(kind["map"])
    if "one of" in kind:
        return set().union(*(named(choice) for choice in kind["one of"]))
    if "fields" in kind:
        return set().union(*(named(field["type"]) for field in kind["fields"].values()))
    return set()


def main():
    types = {}
    with tempfile.TemporaryDirectory() as folder:
        for package, version in PACKAGES.items():
            packed = subprocess.run(["npm", "pack", "--silent", f"{package}@{version}"], cwd=folder, check=True,
                                    stdout=subprocess.PIPE, text=True).stdout.split()[-1]
            there = pathlib.Path(folder) / packed.removesuffix(".tgz")
            with tarfile.open(pathlib.Path(folder) / packed) as archive:
                archive.extractall(there)
            types.update(read(there))
    found, left = {}, set(KINDS.values())
    while left:
        name = left.pop()
        found[name] = types[name]["alias"] if "alias" in types[name] else {"fields": flat(name, types)}
        if found[name] == {"fields": {}}:
            found[name] = "any"
        left |= named(found[name]) - found.keys()
    lines = [f'"made from": {json.dumps(PACKAGES)}', f'"kinds": {json.dumps(KINDS)}']
    lines.append('"types": {\n' + ",\n".join(f" {json.dumps(name)}: {json.dumps(found[name])}" for name in sorted(found)) + "\n}")
    path = pathlib.Path(__file__).with_name("kubernetes.schema.json")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
