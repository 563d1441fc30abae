"""The table of experiments, from rows as dvc.api.exp_show returns them."""

import experiments

FIGURES = dict(zip(experiments.FIGURES, (0.91234, 0.95, 0.9, 0.94), strict=True))


def test_each_row_has_the_figures_and_what_changed():
    settings = {"train.epochs": 20.0, "model.filters": "[16, 32]", "train.start": None}
    long = {f"train.a_long_name_of_a_param_{i}": 0.5 for i in range(4)}
    commit = {"Experiment": None, "rev": "main", **FIGURES, **settings, **dict.fromkeys(long, 0.0)}
    rows = [
        commit | {"rev": "workspace"},
        commit,
        commit | {"train.epochs": 30.0, "model.filters": "[8]", **long},
    ]
    rows[2] |= {"Experiment": "longer", experiments.FIGURES[3]: None}
    lines = experiments.table(rows, [*settings, *long]).splitlines()
    assert lines[2:4] == [f"{name:18}0.912     0.950     0.900     0.940" for name in ("workspace", "main")]
    assert lines[4].split()[:5] == ["longer", "0.912", "0.950", "0.900", "-"]
    changed = " ".join([lines[4].split("- ")[1], *lines[5:]]).split()
    assert changed == ["train.epochs=30", "model.filters=[8]", *(f"{name}=0.5" for name in long)]
    assert max(map(len, lines)) <= 100
