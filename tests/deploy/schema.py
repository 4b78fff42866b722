"""What is wrong with a Kubernetes object, by the schema of its kind. Stricter than a cluster: no unknown field passes."""

import json
import pathlib

SCHEMA = json.loads(pathlib.Path(__file__).with_name("kubernetes.schema.json").read_text(encoding="utf-8"))
PLAIN = {"string": str, "number": (int, float), "boolean": bool, "any": object}


def mistakes(one):
    kind = f"{one.get('apiVersion')} {one.get('kind')}"
    if kind not in SCHEMA["kinds"]:
        return [f"{kind}: no such kind in kubernetes.schema.json"]
    return wrong(SCHEMA["kinds"][kind], one, f"{one['kind']}/{one.get('metadata', {}).get('name')}")


def wrong(kind, value, where):
    if isinstance(kind, str) and kind in PLAIN:
        fits = isinstance(value, PLAIN[kind]) and (kind != "number" or not isinstance(value, bool))
        return [] if fits else [f"{where}: {value!r} is no {kind}"]
    if isinstance(kind, str):
        return wrong(SCHEMA["types"][kind], value, where)
    if isinstance(kind, list):
        if not isinstance(value, list):
            return [f"{where}: {value!r} is no list"]
        return [one for i, item in enumerate(value) for one in wrong(kind[0], item, f"{where}[{i}]")]
    if "literal" in kind:
        return [] if value == kind["literal"] else [f"{where}: {value!r} is not {kind['literal']!r}"]
    if "one of" in kind:
        tries = [wrong(choice, value, where) for choice in kind["one of"]]
        return [] if [] in tries else [one for each in tries for one in each]
    if not isinstance(value, dict):
        return [f"{where}: {value!r} is no object"]
    if "map" in kind:
        return [one for key, item in value.items() for one in wrong(kind["map"], item, f"{where}.{key}")]
    fields = kind["fields"]
    found = [f"{where}.{key}: no such field" for key in value.keys() - fields.keys()]
    found += [f"{where}.{key}: is missing" for key in fields if fields[key].get("required") and key not in value]
    for key in value.keys() & fields.keys():
        found += wrong(fields[key]["type"], value[key], f"{where}.{key}")
    return found
