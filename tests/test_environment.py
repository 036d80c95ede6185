import subprocess
from importlib import metadata

from tfbs import environment


def test_git_state_tells_commit_and_changes(tmp_path, monkeypatch):
    def git(*command):
        identity = ["-c", "user.name=n", "-c", "user.email=e@x"]
        return subprocess.run(["git", "-C", tmp_path, *identity, *command], capture_output=True, text=True, check=True)

    (tmp_path / "module.py").write_text("")
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "module.py"))
    assert environment.git_state() == {}
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    commit = git("rev-parse", "HEAD").stdout.strip()
    assert environment.git_state() == {"git_commit": commit, "git_dirty": "false"}
    (tmp_path / "module.py").write_text("changed")
    assert environment.git_state() == {"git_commit": commit, "git_dirty": "true"}


def test_packages_are_pinned_and_complete():
    lines = environment.packages()
    assert f"numpy=={metadata.version('numpy')}" in lines
    assert all("==" in line for line in lines)
