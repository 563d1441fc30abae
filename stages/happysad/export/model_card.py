"""The model card: model_card.md, and for a model of faces face_crop.md, filled in with what was measured."""

import json
from dataclasses import asdict
from pathlib import Path

from happysad.common import params
from happysad.common.caveats import caveats
from happysad.common.files import read_json
from happysad.common.tables import read_csv

FRONT_MATTER = ("accuracy", "precision", "recall", "f1", "roc_auc")  # Hugging Face uses the same names


def model_card(root: Path, about: dict[str, str], export: dict) -> str:
    """``about`` is the metadata of the exported files, ``export`` the content of metrics/export.json.

    Every other figure comes from params.yaml, models/model.json or a file in metrics/, most of them straight
    into the templates.
    """
    settings = asdict(params.load(root))
    model = read_json(root / "models/model.json")
    test, intervals, data = (
        read_json(root / f"metrics/{name}.json") for name in ("test", "test_intervals", "data")
    )
    robustness = read_csv(root / "metrics/robustness.csv")
    measured = {"about": about, "model": model, "export": export}
    measured |= {"test": test, "intervals": intervals, "data": data}
    right = model["validation"]["accuracy_when_sure"]

    face_crop, import_faces, view = "", "", "view = picture"
    if about["crop"] == "face":
        import_faces = "import faces  # faces.py, beside this card\n"
        view = f'view, found = faces.view(picture, "face", {about["crop_margin"]})'
        without_face = "the whole picture"
        if about["no_face"] == "refuse":
            view += '\nif not found:\n    raise SystemExit("no face")'
            without_face = "nothing"
        face_crop = template("face_crop.md").format(**measured, without_face=without_face)
    return template("model_card.md").format(
        **measured,
        dataset=json.dumps(about["source"], ensure_ascii=False),  # valid YAML, whatever the folder is called
        front_matter="\n".join(f"    - {{type: {name}, value: {test[name]}}}" for name in FRONT_MATTER),
        caveats="".join(f"\n**{caveat}**\n" for caveat in caveats(data, model)),
        right_when_sure="none" if right is None else f"{right:.0%}",
        face_crop=face_crop,
        import_faces=import_faces,
        view=view,
        rejected=listing(data["rejected"]) or "none",
        settings={group: listing(settings[group]) for group in ("model", "train", "augment")},
        figures="\n".join(
            f"| {name} | {value:.3f} | {intervals[name]['low']:.3f} to {intervals[name]['high']:.3f} |"
            for name, value in test.items()
        ),
        n_corrupted=robustness["n"][0],
        robustness="\n".join(
            f"| {row.corruption} | {row.setting} | {row.accuracy:.3f} | {row.accuracy_ci_low:.3f} to "
            f"{row.accuracy_ci_high:.3f} | {row.label_changes:.3f} |"
            for row in robustness.itertuples()
        ),
        files="\n".join(
            f"| {name} | {file['bytes'] if file['matches'] else 'left out, since it does not match'} | "
            f"{file['largest_difference']:.1g} |"
            for name, file in export["files"].items()
        ),
    )


def template(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def listing(values: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
