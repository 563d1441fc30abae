"""The model, fetched by DVC from the git repository and the DVC remote of a project."""

import shutil
import subprocess

import numpy as np
import onnxruntime
import yaml
from conftest import PROJECT, draw


def test_the_model_is_fetched_by_path_and_by_name(finished, tmp_path):
    def sh(folder: str, command: str) -> None:
        done = subprocess.run(
            command.split(), cwd=tmp_path / folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"

    project = tmp_path / "project"
    shutil.copytree(finished / "models/export", project / "models/export")
    pipeline = yaml.safe_load((PROJECT / "dvc.yaml").read_text())
    [folder] = [out for out in pipeline["stages"]["export"]["outs"] if isinstance(out, str)]
    stages = {"export": {"cmd": "false", "outs": [folder]}}  # its deps would be all of the project
    (project / "dvc.yaml").write_text(
        yaml.safe_dump({"stages": stages, "artifacts": pipeline["artifacts"]}, sort_keys=False)
    )
    (project / ".dvc").mkdir()
    (project / ".dvc/config").write_text(
        f"[core]\nremote = storage\nanalytics = false\n['remote \"storage\"']\nurl = {tmp_path}/storage\n"
    )
    (tmp_path / "elsewhere").mkdir()
    for command in (
        "git init --quiet",
        "dvc commit --quiet --force",
        "dvc push --quiet",
        "git add .",
        "git config user.name test",
        "git config user.email test@example.com",
        "git commit --quiet --message=model",
        "git tag --message=first happysad@v1.0.0",
        "git clone --quiet --bare . ../repository.git",
    ):
        sh("project", command)
    sh("elsewhere", f"dvc get --quiet {tmp_path}/repository.git models/export/model.onnx --out by_path.onnx")
    sh("elsewhere", f"dvc artifacts get --quiet {tmp_path}/repository.git happysad --out by_name.onnx")

    picture = np.asarray(draw(1))
    expected, *fetched = (
        onnxruntime.InferenceSession(file).run(["scores"], {"picture": picture})[0]
        for file in (
            finished / "models/export/model.onnx",
            tmp_path / "elsewhere/by_path.onnx",
            tmp_path / "elsewhere/by_name.onnx",
        )
    )
    np.testing.assert_array_equal(fetched, [expected, expected])
