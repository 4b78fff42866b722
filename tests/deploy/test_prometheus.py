"""deploy/prometheus and deploy/grafana: well-formed, and about metrics that finhold has."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "prometheus" / "finhold.rules.yml"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "finhold.json").read_text(encoding="utf-8"))
PROMTOOL = ROOT / "build" / "unpacked" / "usr" / "bin" / "promtool"  # deploy/packages test puts it there
CONFIG = """
[admin]
listen = "127.0.0.1:0"
[[route]]
name = "main"
listen = "127.0.0.1:0"
server = "127.0.0.1:9"
sessions = 100
[[route]]
name = "paired"
listen = "127.0.0.1:0"
server = "127.0.0.1:9"
tunnel = "dc"
[[route]]
name = "caught"
listen = "127.0.0.1:15382"
intercept = "redirect"
catch = ["127.0.0.2:9"]
[[tunnel]]
name = "dc"
far = "127.0.0.1:9"
tls = "off"
[[far]]
listen = "127.0.0.1:0"
allow = ["127.0.0.1:9"]
tls = "off"
"""


@pytest.fixture(scope="module")
def metrics(tmp_path_factory):
    """What a finhold that has just started tells, in a network of its own, since it loads rules: {name: {label: {value, ...}}}."""
    folder = tmp_path_factory.mktemp("finhold")
    (folder / "finhold.toml").write_text(CONFIG, encoding="utf-8")
    with open(folder / "log", "w", encoding="utf-8") as log, \
            subprocess.Popen(["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$0" "$@"', os.environ["FINHOLD"], "run",
                              "--apply-rules", "--config", folder / "finhold.toml"], stderr=log) as process:
        try:
            for _ in range(600):
                said = (folder / "log").read_text(encoding="utf-8")
                found = re.search(r"status page.*address=(\S+)", said)
                if found and " ready workers=" in said:
                    break
                time.sleep(0.05)
            assert found, (folder / "log").read_text(encoding="utf-8")
            ask = f"import urllib.request; print(urllib.request.urlopen('http://{found[1]}/metrics', timeout=30).read().decode())"
            text = subprocess.run(["nsenter", f"--net=/proc/{process.pid}/ns/net", "/usr/bin/python3", "-c", ask],
                                  capture_output=True, text=True, check=True).stdout
        finally:
            process.terminate()
            assert process.wait(timeout=30) == 0
    all_of = {"up": {}}
    for name, labels in re.findall(r"^([a-z_]+)(?:\{(.*)\})? ", text, re.MULTILINE):
        there = all_of.setdefault(name, {})
        for label, value in re.findall(r'(\w+)="([^"]*)"', labels):
            there.setdefault(label, set()).add(value)
    return all_of


def rules():
    [group] = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return group["rules"]


def targets():
    return [target for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]


def expressions():
    """Of the rules and of the dashboard, with Grafana's variables filled in."""
    for rule in rules():
        yield rule["expr"]
    for target in targets():
        yield re.sub(r"\$(job|instance|route)\b", ".*", target["expr"].replace("$__rate_interval", "5m"))
    for one in DASHBOARD["templating"]["list"]:
        if one["type"] == "query":
            yield re.sub(r"\$\w+", ".*", re.fullmatch(r"label_values\((.*), \w+\)", one["query"]["query"])[1])


def promtool(*arguments):
    done = subprocess.run([PROMTOOL, *arguments], timeout=60, text=True, check=False, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout


def test_every_metric_and_label_is_one_that_finhold_exports(metrics):
    seen = set()
    for text in expressions():
        for name, matchers in re.findall(r"\b(finhold_[a-z_]+|process_[a-z_]+|up)\b(?:\{([^}]*)\})?", text):
            assert name in metrics, (name, text)
            seen.add(name)
            labels = metrics[name]
            for label, sign, value in re.findall(r'(\w+)\s*(=~|!=|=|!~)\s*"([^"]*)"', matchers):
                if label in ("job", "instance"):
                    continue
                assert label in labels, (name, label)
                # Every alternative of a pattern must be a value that there is.
                pattern = re.compile(value)
                hit = {one for one in labels[label] if pattern.fullmatch(one)}
                assert hit, (name, label, value)
                if sign == "=~" and value != ".*":
                    whole = re.sub(r"\([^()]*\)", lambda group: group[0].replace("|", "\0"), value).split("|")
                    assert all(any(re.fullmatch(part.replace("\0", "|"), one) for one in hit) for part in whole), value
    # What is exported is shown, or alerts.
    base = {re.sub(r"_(bucket|sum|count)$", "", name) for name in metrics if name.startswith("finhold_")}
    assert {re.sub(r"_bucket$", "", name) for name in seen if name.startswith("finhold_")} == base


def test_promtool_accepts_the_rules():
    promtool("check", "rules", RULES)


def test_each_alert_comes_when_it_should(tmp_path):
    shutil.copy(RULES, tmp_path)
    tests = pathlib.Path(__file__).with_name("finhold.rules.test.yml")
    promtool("test", "rules", shutil.copy(tests, tmp_path))
    tested = {one["alertname"] for each in yaml.safe_load(tests.read_text(encoding="utf-8"))["tests"]
              for one in each["alert_rule_test"] if one.get("exp_alerts")}
    assert tested == {rule["alert"] for rule in rules()}


def test_prometheus_understands_the_dashboard(tmp_path):
    group = {"name": "dashboard", "rules": [{"record": f"panel:{i}", "expr": text} for i, text in enumerate(expressions())]}
    (tmp_path / "dashboard.yml").write_text(yaml.safe_dump({"groups": [group]}), encoding="utf-8")
    promtool("check", "rules", tmp_path / "dashboard.yml")


def test_the_dashboard_is_well_formed():
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    variables = {one["name"] for one in DASHBOARD["templating"]["list"]}
    cells = set()
    for panel in panels:
        place = panel["gridPos"]
        mine = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not mine & cells, panel["title"]
        assert max(x for x, _ in mine) < 24
        cells |= mine
        assert panel["title"]
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0
    for target in targets():
        used = set(re.findall(r"\$(\w+)", target["expr"])) - {"__rate_interval"}
        assert used <= variables, target["expr"]
        assert target["datasource"]["uid"] == "${datasource}"
