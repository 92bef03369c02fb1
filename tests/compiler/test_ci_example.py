"""The workflow of examples/ci, run for real: every step by the very line that the workflow has, on two branches."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "ci"
BIN = Path(sys.executable).parent
CALL = re.compile(r"^\.github/mlimg/check\.sh (\w+)( \"\$[A-Z]+\"| review\.md)*( > review\.md && .*)?$")
GH = """\
#!/usr/bin/env bash
echo "$*" >> "$GH_LOG"
case "$*" in *--jq*) cat "$GH_FORMER" ;; esac
"""


def workflow() -> dict[str, Any]:
    """The workflow as GitHub reads it."""
    told: dict[str, Any] = yaml.safe_load((EXAMPLE / "mlimg.yml").read_text())
    return told


def lines() -> dict[str, tuple[str, dict[str, str]]]:
    """The line and the variables of each step of the workflow that runs something, by its command."""
    found = {}
    for step in workflow()["jobs"]["specs"]["steps"]:
        if "run" in step:
            call = CALL.match(step["run"].strip())
            assert call, step["run"]
            found[call[1]] = (step["run"], step.get("env", {}))
    return found


class Project:
    """A repository of one spec and its lock, set up as the README says."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.root, self.data = folder / "project", data
        self.spec = self.root / "specs" / "small.yaml"
        self.log, self.former = folder / "gh.log", folder / "gh.former"
        (folder / "bin").mkdir()
        (folder / "bin" / "gh").write_text(GH)
        (folder / "bin" / "gh").chmod(0o755)
        self.path = os.pathsep.join([str(folder / "bin"), str(BIN), os.environ["PATH"]])
        for name, to in (("mlimg.yml", ".github/workflows"), ("check.sh", ".github/mlimg")):
            (self.root / to).mkdir(parents=True)
            shutil.copy(EXAMPLE / name, self.root / to)
        self.spec.parent.mkdir()
        text = (data / "small.yaml").read_text()
        for name in ("synsets", "crowd/images", "crowd/labels.csv", "crowd/classes.csv"):
            text = text.replace(f": {name}\n", f": ${{DATA}}/{name}\n")
        self.spec.write_text(text)
        (self.root / ".gitignore").write_text("build/\nreview.md\n")

    def run(self, line: str, **more: str) -> subprocess.CompletedProcess[str]:
        """One line of shell in the repository, with the variables that the workflow sets."""
        env = {**os.environ, "DATA": str(self.data), "PATH": self.path, **workflow()["env"]}
        env |= {"GH_LOG": str(self.log), "GH_FORMER": str(self.former)}
        env |= {"GITHUB_STEP_SUMMARY": str(self.log.with_name("summary.md")), **more}
        return subprocess.run(
            ["bash", "-e", "-c", line],
            cwd=self.root,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )

    def done(self, line: str, **more: str) -> str:
        """The same for a line that must end well; what it says on stdout."""
        ended = self.run(line, **more)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def commit(self, message: str, branch: str | None = None) -> None:
        """All that is there is committed, on a new branch where one is named."""
        who = "-c user.name=someone -c user.email=someone@example.org"
        if branch:
            self.done(f"git checkout -q -b {branch}")
        self.done(f"git add . && git {who} commit -q -m '{message}'")

    def edit(self, old: str, new: str) -> None:
        """Replaces a text of the spec."""
        text = self.spec.read_text()
        assert old in text
        self.spec.write_text(text.replace(old, new))


@pytest.fixture(scope="module")
def project(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """On `main` a release with the digests of all shards; on `edit` a rule and its lock changed."""
    folder = tmp_path_factory.mktemp("ci")
    shutil.copytree(collection, folder / "data")
    made = Project(folder, folder / "data")
    made.done("git init -q -b main")
    made.done("mlimg build specs/small.yaml --out build && mlimg lock specs/small.yaml --out build")
    made.commit("A release")
    shutil.rmtree(made.root / "build")  # CI starts from nothing
    made.edit("dataset:\n", "annotation:\n  negatives: none\ndataset:\n")
    made.done("mlimg lock specs/small.yaml --out build")
    made.commit("Absence implies nothing", "edit")
    shutil.rmtree(made.root / "build")
    return made


def test_every_line_of_the_workflow_calls_a_step_of_the_script() -> None:
    script = (EXAMPLE / "check.sh").read_text()
    steps = re.search(r"^([a-z |]+)\) \"\$@\" ;;$", script, re.MULTILINE)
    assert steps
    assert (
        set(lines())
        == set(steps[1].split(" | "))
        == {*("install", "specs", "locks", "fraction", "review", "comment")}
    )
    assert workflow()[True].keys() == {"push", "pull_request"}  # YAML 1.1 reads `on` as true


def test_the_script_alone_says_what_it_can_do() -> None:
    done = subprocess.run([EXAMPLE / "check.sh"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert all(f"  {step} " in done.stderr for step in lines())


@pytest.mark.slow
def test_install_installs_mlimg(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77", reason="nothing is there that builds a package")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        if name.startswith(("mlimg_build/", "backends/", "pyproject", "README", "LICENSE", "NOTICE")):
            (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / "source" / name)
    pip = {"PIP_TARGET": str(tmp_path / "site"), "PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1"}
    pip |= {"PIP_NO_BUILD_ISOLATION": "0", "MLIMG": str(tmp_path / "source")}
    path = os.pathsep.join([str(BIN), os.environ["PATH"]])
    line = lines()["install"][0].replace(".github/mlimg", str(EXAMPLE))
    subprocess.run(["bash", "-ec", line], env={**os.environ, **pip, "PATH": path}, check=True)
    assert (tmp_path / "site" / "mlimg_build" / "cli" / "__init__.py").is_file()


def test_a_branch_with_its_lock_passes_every_step(project: Project) -> None:
    project.done("git checkout -q edit")
    assert "specs/small.yaml: small 1.0.0" in project.done(lines()["specs"][0])
    assert project.done(lines()["locks"][0]) == "specs/small.lock\n"
    told = project.done(lines()["fraction"][0], MLIMG_BACKEND="local")  # as in CI, with Dask's workers
    assert "16 images" in told
    assert "every digest is right" in told
    assert (project.root / "build" / "small@0.01.zarr").is_dir()


@pytest.mark.slow
def test_the_change_is_posted_once_and_then_replaced(project: Project) -> None:
    project.done("git checkout -q edit")
    review, given = lines()["review"]
    assert list(given) == ["BASE"]
    project.done(review, BASE="main")
    text = (project.root / "review.md").read_text()
    assert text.startswith("<!-- mlimg diff -->\n### build/base/specs/small.lock → specs/small.lock\n")
    assert "40 labels lost in 1 category" in text
    assert "absence implies descendants no more" in text
    assert (project.log.with_name("summary.md")).read_text() == text
    comment, given = lines()["comment"]
    assert list(given) == ["GH_TOKEN", "PULL"]
    for former, method in (("", "POST repos/{owner}/{repo}/issues/7/comments"), ("3\n12\n", "PATCH")):
        project.former.write_text(former)
        project.log.unlink(missing_ok=True)
        project.done(comment, PULL="7", GH_TOKEN="none")
        asked, posted = project.log.read_text().splitlines()
        assert 'startswith("<!-- mlimg diff -->")' in asked
        assert f"--method {method}" in posted
        assert "body=@review.md" in posted
        assert ("comments/12 " in posted) == bool(former)


@pytest.mark.slow
def test_an_edit_without_its_lock_exits_with_3(project: Project) -> None:
    project.done("git checkout -q edit")
    project.edit("  ancestors: common\n", "  ancestors: common\n  exclude: [n02121620]\n")
    try:
        project.done(lines()["specs"][0])
        for step in ("locks", "fraction"):
            done = project.run(lines()[step][0])
            assert done.returncode == 3
            assert "categories.csv: - n02121620" in done.stderr
            assert "hint:" in done.stderr
    finally:
        project.done("git checkout -q specs")


@pytest.mark.slow
def test_another_byte_in_the_first_shard_exits_with_3(project: Project) -> None:
    project.done("git checkout -q main")
    shards = project.root / "specs/small.lock/shards.csv"
    try:
        digest = shards.read_text().splitlines()[1].split(",")[-2]
        shards.write_text(shards.read_text().replace(digest, "f" * len(digest)))
        shutil.rmtree(project.root / "build", ignore_errors=True)
        done = project.run(lines()["fraction"][0])
        assert done.returncode == 3
        assert f"shards.csv: train/0: images {'f' * len(digest)} → {digest}" in done.stderr
    finally:
        project.done("git checkout -q specs")


@pytest.mark.slow
def test_a_wrong_spec_is_an_error_of_its_own_beside_a_right_one(project: Project) -> None:
    project.done("git checkout -q main")
    wrong = project.root / "specs" / "wrong.yaml"
    wrong.write_text("mlimg: 1\nname: Two Words\n")
    try:
        done = project.run(lines()["specs"][0])
        assert done.returncode == 1
        assert "specs/small.yaml: small 1.0.0" in done.stdout
        assert "specs/wrong.yaml:2:7" in done.stderr
    finally:
        wrong.unlink()


def test_new_and_removed_locks_are_said_to_be(project: Project) -> None:
    project.done("git checkout -q main")
    project.done("git mv specs/small.lock specs/other.lock")
    project.commit("Renamed", "renamed")
    project.done(lines()["review"][0], BASE="main")
    text = (project.root / "review.md").read_text()
    assert "### specs/other.lock\n\nA new lock" in text
    assert "### specs/small.lock\n\nThis lock is removed" in text


def test_the_readme_is_short_and_names_every_step() -> None:
    text = (EXAMPLE / "README.md").read_text()
    assert len(text.splitlines()) <= 90
    assert all(f"`{step}" in text for step in lines() if step != "install")
