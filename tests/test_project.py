"""The files that describe the project agree with each other."""

import ast
import re
import tomllib
from pathlib import Path

import yaml

from tfbs import __version__, registry

ROOT = Path(__file__).parents[1]
CONDA = yaml.safe_load((ROOT / "conda.yaml").read_text())
PIP = CONDA["dependencies"][-1]["pip"]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
README = (ROOT / "README.md").read_text()


def test_conda_yaml_is_complete_and_pinned():
    assert CONDA["dependencies"][:2] == ["python=3.11", "pip"]
    assert all(re.fullmatch(r"[a-z-]+==[\d.]+", line) for line in PIP)


def test_pyproject_lists_the_same_packages():
    assert PYPROJECT["project"]["dependencies"] == PIP


def test_the_served_model_asks_for_the_same_versions():
    assert set(registry.requirements()) <= set(PIP)


def test_the_readme_installs_the_same_mlflow_and_uv():
    command = re.search(r"pip install (mlflow\S+) (uv\S+)", README)
    assert command[1] in PIP
    assert command[2] in PYPROJECT["project"]["optional-dependencies"]["test"]


def test_every_package_that_is_imported_is_listed():
    names = {"sklearn": "scikit-learn", "modiscolite": "modisco-lite"}
    found = set()
    for path in [*(ROOT / "tfbs").glob("*.py"), *(ROOT / "experiments").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.split(".")[0])
    listed = {line.split("==")[0] for line in PIP + PYPROJECT["project"]["optional-dependencies"]["spark"]}
    local = {"tfbs", "experiments", "__future__"}
    import sys

    assert {names.get(n, n) for n in found - local - sys.stdlib_module_names} <= listed


def test_imports_respect_the_rooms():
    figures = {path.stem for path in (ROOT / "tfbs").glob("plots*.py")}
    rooms = {"mlflow": {"tracking", "registry", "serving"}, "matplotlib": figures, "argparse": set()}
    for package, allowed in rooms.items():
        pattern = re.compile(rf"^\s*(?:import|from) {package}\b", re.MULTILINE)
        users = {path.stem for path in (ROOT / "tfbs").glob("*.py") if pattern.search(path.read_text())}
        assert users <= allowed, package
    assert not re.search(r"^\s*from \.|^\s*(?:from|import) tfbs", (ROOT / "tfbs/serving.py").read_text(), re.MULTILINE)


def test_parameters_of_mlproject_are_those_of_the_job():
    project = yaml.safe_load((ROOT / "MLproject").read_text())
    from experiments.train import request
    from tfbs.settings import Job

    parameters = project["entry_points"]["main"]["parameters"]
    argv = [word for name, spec in parameters.items() for word in (f"--{name}", spec["default"])]
    assert request(argv) == Job()
    assert project["conda_env"] == "conda.yaml"


def test_versions_agree():
    assert f"version: {__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_links_and_pictures_of_the_documents_exist():
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
