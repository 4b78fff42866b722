"""As much of kustomize as deploy/kubernetes uses; anything else is refused. test_kubernetes.py compares with the real one."""

import copy
import hashlib
import pathlib

import yaml

FIELDS = {"apiVersion", "kind", "resources", "components", "configMapGenerator", "images", "patches"}


def documents(path):
    return [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one]


def merge(into, patch):
    """A strategic merge: lists of what has a name are merged by it, and what is new in them comes first."""
    for key, value in patch.items():
        old = into.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merge(old, value)
        elif isinstance(old, list) and old and all(isinstance(one, dict) and "name" in one for one in [*old, *value]):
            by = "mountPath" if key == "volumeMounts" else "containerPort" if key == "ports" and "containerPort" in old[0] else "name"
            here = {one[by]: one for one in old}
            for one in value:
                if one[by] in here:
                    merge(here[one[by]], one)
            into[key] = [copy.deepcopy(one) for one in value if one[by] not in here] + old
        else:
            into[key] = copy.deepcopy(value)


def matches(target, one):
    labels = one["metadata"].get("labels", {})
    wanted = dict(pair.split("=") for pair in target.get("labelSelector", "").split(",") if pair)
    assert target.keys() <= {"kind", "labelSelector"}, target
    return one["kind"] == target.get("kind", one["kind"]) and wanted.items() <= labels.items()


class Build:
    def __init__(self):
        self.all = []
        self.generated = {}  # name of a ConfigMap whose name will get a hash

    def add(self, folder):
        """What the kustomization in this folder adds, and what it changes of what is there."""
        [what] = documents(folder / "kustomization.yaml")
        assert what.keys() <= FIELDS, what.keys() - FIELDS
        expected = {"Kustomization": "kustomize.config.k8s.io/v1beta1", "Component": "kustomize.config.k8s.io/v1alpha1"}
        assert expected[what["kind"]] == what["apiVersion"]
        for name in what.get("resources", []):
            path = (folder / name).resolve()
            if path.is_dir():
                self.add(path)
            else:
                self.all += documents(path)
        for one in what.get("configMapGenerator", []):
            assert one.keys() <= {"name", "files", "behavior"}
            exists = one["name"] in self.generated
            assert exists == (one.get("behavior") == "replace"), one
            data = {name: (folder / name).read_text(encoding="utf-8") for name in one["files"]}
            self.generated[one["name"]] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": one["name"]},
                                           "data": data}
        for name in what.get("components", []):
            self.add((folder / name).resolve())
        for one in what.get("patches", []):
            assert one.keys() <= {"path", "target"}
            [patch] = documents(folder / one["path"])
            named = {"kind": patch["kind"], "name": patch["metadata"]["name"]}
            hit = [old for old in self.all
                   if (matches(one["target"], old) if "target" in one else
                       named == {"kind": old["kind"], "name": old["metadata"]["name"]})]
            assert hit, f"{folder / one['path']} changes nothing"
            for old in hit:
                name = old["metadata"]["name"]
                merge(old, patch)
                old["metadata"]["name"] = name
        for one in what.get("images", []):
            assert one.keys() <= {"name", "newName", "newTag"}
            for container in self.containers():
                if container["image"] == one["name"]:
                    container["image"] = f"{one['newName']}:{one['newTag']}"

    def containers(self):
        for one in self.all:
            pod = one.get("spec", {}).get("template", {}).get("spec", {})
            yield from pod.get("initContainers", []) + pod.get("containers", [])

    def name_by_content(self):
        """Every generated ConfigMap gets a hash of its content (another one than kustomize's), and who mounts it that name."""
        for name, one in self.generated.items():
            hashed = f"{name}-" + hashlib.sha256(repr(one).encode()).hexdigest()[:10]
            one["metadata"]["name"] = hashed
            for other in self.all:
                for volume in other.get("spec", {}).get("template", {}).get("spec", {}).get("volumes", []):
                    if volume.get("configMap", {}).get("name") == name:
                        volume["configMap"]["name"] = hashed
            self.all.append(one)


def render(folder):
    build = Build()
    build.add(pathlib.Path(folder).resolve())
    build.name_by_content()
    return build.all
