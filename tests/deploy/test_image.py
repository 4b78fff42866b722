"""The Dockerfile, as far as that can be seen without building it, which deploy/test-image does."""

import pathlib
import re
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_the_build_stage_has_all_that_it_configures(tmp_path):
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if line.startswith("!"):
            there = tmp_path / line[1:]
            there.parent.mkdir(parents=True, exist_ok=True)
            source = ROOT / line[1:]
            shutil.copytree(source, there) if source.is_dir() else shutil.copy(source, there)
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for name in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile, re.MULTILINE):
        for each in name.split():
            assert (tmp_path / each).exists(), each
    command = re.search(r"^RUN (cmake .*?) &&", dockerfile, re.MULTILINE)[1].split()
    done = subprocess.run(command, cwd=tmp_path, timeout=120, check=False, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout


def test_the_image_has_authorities_for_near_ends_without_ca():
    """deploy/test-image shows that finhold finds them."""
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    final_stage = dockerfile.split("\nFROM ")[-1]
    assert re.search(r"apt-get install .*\bca-certificates\b", final_stage)
