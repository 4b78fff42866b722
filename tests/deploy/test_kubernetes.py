"""deploy/kubernetes: what kustomize makes of it is what a cluster takes, and all that it names is there."""

import copy
import ipaddress
import os
import pathlib
import re
import subprocess
import tomllib

import kustomize
import pytest
import schema

HERE = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "kubernetes"
BUILT = ("far", "examples/far", "examples/sidecar", "examples/near")
USER = 10538
SECRETS = {"finhold-far-tls", "finhold-near-tls"}  # of the user's making
KEYS = {"tls.crt", "tls.key", "ca.crt"}


def every_object():
    return [(name, one) for name in BUILT for one in kustomize.render(HERE / name)]


def deployments():
    return [(name, one) for name, one in every_object() if one["kind"] == "Deployment"]


def the(kind, name):
    [found] = [one for one in kustomize.render(HERE / name) if one["kind"] == kind]
    return found


def pod(deployment):
    return deployment["spec"]["template"]["spec"]


def finholds(deployment):
    """The containers of a pod that run finhold's image."""
    both = pod(deployment).get("initContainers", []) + pod(deployment)["containers"]
    return [one for one in both if one["name"].startswith("finhold")]


def config_of(deployment, objects):
    names = [volume["configMap"]["name"] for volume in pod(deployment)["volumes"] if "configMap" in volume]
    [text] = [one["data"]["finhold.toml"] for one in objects if one["kind"] == "ConfigMap" and one["metadata"]["name"] in names]
    return text


def configs():
    for name in BUILT:
        objects = kustomize.render(HERE / name)
        for one in objects:
            if one["kind"] == "Deployment":
                yield name, one, config_of(one, objects)


def milliseconds(text):
    units = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)(ms|s|m|h)", text))


def test_every_file_is_used():
    used = set()
    for folder in HERE.rglob("kustomization.yaml"):
        used.add(folder)
        [what] = kustomize.documents(folder)
        for name in what.get("resources", []) + [one["path"] for one in what.get("patches", [])] + \
                [file for one in what.get("configMapGenerator", []) for file in one["files"]]:
            used.add((folder.parent / name).resolve())
    assert {path for path in HERE.rglob("*") if path.is_file() and path.suffix != ".md"} <= used


def test_every_object_follows_the_schema_of_its_kind():
    assert [one for _, each in every_object() for one in schema.mistakes(each)] == []


def test_the_schema_finds_what_is_wrong():
    good = the("Deployment", "far")

    def after(change):
        bad = copy.deepcopy(good)
        change(bad, pod(bad)["containers"][0])
        return schema.mistakes(bad)

    assert after(lambda all, one: None) == []
    assert "no such field" in after(lambda all, one: one.update(readynessProbe={}))[0]
    assert "is missing" in after(lambda all, one: one.pop("name"))[0]
    assert "is no number" in after(lambda all, one: all["spec"].update(replicas="3"))[0]
    assert "is no string" in after(lambda all, one: one["lifecycle"]["preStop"]["exec"].update(command=["sleep", 5]))[0]
    assert "is no list" in after(lambda all, one: one.update(args="run"))[0]
    assert "is not" in after(lambda all, one: one["readinessProbe"]["httpGet"].update(scheme="http"))[0]
    assert "no such kind" in after(lambda all, one: all.update(apiVersion="apps/v2"))[0]


def test_every_volume_and_port_that_is_named_exists():
    for name, one in deployments():
        volumes = {volume["name"] for volume in pod(one).get("volumes", [])}
        mounted = set()
        for container in finholds(one):
            mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            mounted |= mounts.keys()
            paths = list(mounts.values())
            assert len(paths) == len(set(paths))
            assert not [(a, b) for a in paths for b in paths if a != b and b.startswith(a + "/")], paths
            ports = {port["name"] for port in container.get("ports", [])}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                if "httpGet" in container.get(probe, {}):
                    assert container[probe]["httpGet"]["port"] in ports, (name, probe)
        assert mounted == volumes, name
        for volume in pod(one).get("volumes", []):
            if "secret" in volume:
                assert volume["secret"]["secretName"] in SECRETS
                assert {item["key"] for item in volume["secret"]["items"]} == KEYS
            else:
                maps = [each["metadata"]["name"] for each in kustomize.render(HERE / name) if each["kind"] == "ConfigMap"]
                assert volume["configMap"]["name"] in maps


def test_every_selector_selects_the_far_ends_pods_and_every_port_is_theirs():
    objects = kustomize.render(HERE / "examples/far")
    [far] = [one for one in objects if one["kind"] == "Deployment"]
    labels = far["spec"]["template"]["metadata"]["labels"].items()
    ports = {port["name"] for container in finholds(far) for port in container["ports"]}
    by_kind = {one["kind"]: one["spec"] for one in objects if "spec" in one}
    selectors = [by_kind["Service"]["selector"], far["spec"]["selector"]["matchLabels"],
                 by_kind["PodDisruptionBudget"]["selector"]["matchLabels"],
                 by_kind["PodMonitor"]["selector"]["matchLabels"], by_kind["NetworkPolicy"]["podSelector"]["matchLabels"],
                 *(one["labelSelector"]["matchLabels"] for one in pod(far)["topologySpreadConstraints"])]
    for selector in selectors:
        assert selector and selector.items() <= labels
    named = [port["targetPort"] for port in by_kind["Service"]["ports"]]
    named += [port["port"] for port in by_kind["PodMonitor"]["podMetricsEndpoints"]]
    named += [port["port"] for rule in by_kind["NetworkPolicy"]["ingress"] for port in rule["ports"]]
    assert set(named) == ports
    assert by_kind["Service"]["type"] == "LoadBalancer"


def test_finhold_listens_where_the_pod_says():
    config = tomllib.loads(config_of(the("Deployment", "far"), kustomize.render(HERE / "far")))
    ports = {port["containerPort"] for container in finholds(the("Deployment", "far")) for port in container["ports"]}
    assert {int(each["listen"].rsplit(":", 1)[1]) for each in [config["admin"], *config["far"]]} == ports


def test_a_sidecar_shows_its_status_page_to_its_own_pod_only():
    for name, one, text in configs():
        if "sidecar" in name or "near" in name:
            assert tomllib.loads(text)["admin"]["listen"].startswith("127.0.0.1:")
            [finhold, rules] = finholds(one)
            assert "ports" not in finhold and "ports" not in rules
            for probe in ("startupProbe", "livenessProbe"):
                assert finhold[probe]["exec"]["command"] == ["finhold", "status", "--config", finhold["args"][-1]]


def test_only_the_container_that_loads_the_rules_has_a_right_and_it_ends():
    for name, one in deployments():
        for container in finholds(one):
            rights = {**pod(one).get("securityContext", {}), **container["securityContext"]}
            assert rights["seccompProfile"] == {"type": "RuntimeDefault"}
            assert rights["allowPrivilegeEscalation"] is False
            assert rights["readOnlyRootFilesystem"] is True
            if container["name"] == "finhold-rules":
                assert rights["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN"]}
                assert "restartPolicy" not in container
            else:
                assert rights["capabilities"] == {"drop": ["ALL"]}
                assert rights["runAsNonRoot"] is True
                assert rights["runAsUser"] == rights["runAsGroup"] == USER
            assert container["resources"]["limits"]["memory"]
        others = [each for each in pod(one)["containers"] if not each["name"].startswith("finhold")]
        assert all(each["securityContext"]["runAsUser"] != USER for each in others), name


def test_pod_security_admits_the_far_end_where_it_is_restricted_and_of_a_sidecar_refuses_the_rules_alone():
    for name, one in deployments():
        whole = pod(one).get("securityContext", {})
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod(one))
        assert all(set(volume) - {"name"} <= {"configMap", "secret"} for volume in pod(one)["volumes"])
        unfit = []
        for container in finholds(one):
            context = {**whole, **container["securityContext"]}
            fit = (context["runAsNonRoot"] and context["runAsUser"] != 0 and not context["allowPrivilegeEscalation"]
                   and context["capabilities"] == {"drop": ["ALL"]} and context["seccompProfile"]["type"] == "RuntimeDefault")
            unfit += [] if fit else [container["name"]]
        assert unfit == ([] if name.endswith("far") else ["finhold-rules"]), name


def test_a_sidecar_is_ready_before_the_rules_divert_to_it():
    for name in ("examples/sidecar", "examples/near"):
        first, second = pod(the("Deployment", name))["initContainers"][:2]
        assert (first["name"], first["restartPolicy"]) == ("finhold", "Always")
        assert "startupProbe" in first
        assert second["name"] == "finhold-rules"


@pytest.mark.parametrize("addresses,loads", [(("10.0.0.5", "192.0.2.1"), True), (("192.0.2.1", "192.0.2.1"), False),
                                             (("fd77::5", "fd77::1"), True), (("fd77::1", "fd77::1"), False)])
def test_rules_are_refused_in_the_network_of_the_node(tmp_path, addresses, loads):
    """hostNetwork: true: the pod has the node's address."""
    [rules] = [one for one in finholds(the("Deployment", "examples/sidecar")) if one["name"] == "finhold-rules"]
    fields = {one["name"]: one["valueFrom"]["fieldRef"]["fieldPath"] for one in rules["env"]}
    assert fields == {"POD_IP": "status.podIP", "HOST_IP": "status.hostIP"}
    loaded = tmp_path / "loaded"
    finhold = tmp_path / "finhold"
    finhold.write_text(f"#!/bin/sh\necho 'touch {loaded}'\n")
    finhold.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "POD_IP": addresses[0], "HOST_IP": addresses[1]}
    done = subprocess.run([*rules["command"], *rules["args"]], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == loaded.exists() == loads
    assert loads or "hostNetwork" in done.stderr


def test_the_sidecar_listens_where_no_mesh_does():
    """Istio 1.24: 15000 to 15090; Linkerd 2: 4140, 4143, 4190, 4191."""
    for name, one, text in configs():
        for route in tomllib.loads(text).get("route", []):
            port = int(route["listen"].rpartition(":")[2])
            assert not 15000 <= port <= 15090 and port not in (4140, 4143, 4190, 4191), (name, port)


def test_sessions_have_their_time_to_finish():
    for name, one, text in configs():
        drain = milliseconds(tomllib.loads(text)["limits"]["drain"])
        grace = 1000 * pod(one).get("terminationGracePeriodSeconds", 30)
        stops = [container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
                 for container in finholds(one)]
        waits = 1000 * max(int(command[1]) for command in stops)
        assert waits + drain + 3000 <= grace, name


def test_the_network_policy_lets_through_what_the_far_end_allows():
    objects = kustomize.render(HERE / "far")
    [policy] = [one["spec"] for one in objects if one["kind"] == "NetworkPolicy"]
    open_to = {(to["ipBlock"]["cidr"], port["port"]) for rule in policy["egress"] for to in rule["to"] if "ipBlock" in to
               for port in rule["ports"]}
    [far] = tomllib.loads(config_of(the("Deployment", "far"), objects))["far"]
    allowed = {(str(ipaddress.ip_network(item.rsplit(":", 1)[0].strip("[]"))), int(item.rsplit(":", 1)[1]))
               for item in far["allow"]}
    assert allowed == open_to


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, timeout=60, stderr=subprocess.DEVNULL)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=test CA", "-days", "2")
    openssl("req", "-x509", *key, "-keyout", "tls.key", "-out", "tls.crt", "-subj", "/CN=finhold-far.example.net",
            "-addext", "subjectAltName=DNS:finhold-far.example.net", "-CA", "ca.crt", "-CAkey", "ca.key", "-days", "2")
    return folder


def test_finhold_accepts_every_configuration(certificates, tmp_path):
    for name, one, text in configs():
        paths = [mount["mountPath"] for container in finholds(one) for mount in container["volumeMounts"]]
        for path in re.findall(r'"(/etc/finhold[^"]*)"', text):
            assert os.path.dirname(path) in paths, (name, path)
        config = tmp_path / f"{name.replace('/', '-')}.toml"
        config.write_text(text.replace("/etc/finhold-tls/", f"{certificates}/"), encoding="utf-8")
        done = subprocess.run([os.environ["FINHOLD"], "check", "--config", config], timeout=60, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert (done.returncode, "warning" in done.stdout) == (0, False), (name, done.stdout)
