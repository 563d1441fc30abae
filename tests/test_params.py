import pytest
import yaml
from conftest import PROJECT, make_project, recipe

from happysad.common.errors import UserError
from happysad.common.params import load


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": {"epochs": 0}}, "train.epochs must lie between 1 and"),
        ({"train": {"epochs": 2.5}}, "train.epochs must be a whole number, not 2.5"),
        ({"train": {"epochs": True}}, "train.epochs must be a whole number"),
        ({"train": {"learning_rate": "fast"}}, "train.learning_rate must be a number, not 'fast'"),
        ({"train": {"learning_rate": float("nan")}}, "train.learning_rate must lie between"),
        ({"train": {"epoch": 3}}, "unknown key train.epoch; known here: seed"),
        ({"model": {"filters": 16}}, "model.filters must be a list"),
        ({"quality": {"reject": ["dim"]}}, "quality.reject must be one of dark, light, blurry"),
        ({"model": {"pooling": "max"}}, "model.pooling must be one of flatten, average, not"),
        ({"model": {"batch_norm": 1}}, "model.batch_norm must be true or false, not 1"),
        ({"model": {"filters": [16, 0]}}, "model.filters must lie between 1 and 4096, not 0"),
        ({"source": 3}, "source must be a text"),
        ({"sauce": "x"}, "unknown key sauce; known here: source, corrections"),
        ({"prepare": {"test_fraction": 0.5}}, "prepare.test_fraction must lie between"),
    ],
)
def test_a_bad_value_names_its_key(tmp_path, change, message):
    make_project(tmp_path, **change)
    with pytest.raises(UserError, match=r"^params\.yaml: ") as error:
        load(tmp_path)
    assert message in str(error.value)


def test_each_recipe_sets_every_key_that_any_recipe_sets(tmp_path):
    """Since `dvc exp run -S` leaves params.yaml changed: the settings of the last recipe must not stay on."""
    recipes = {path.name: recipe(path.name) for path in (PROJECT / "experiments").iterdir()}
    keys = {name: {(group, key) for group in r for key in r[group]} for name, r in recipes.items()}
    assert all(keys[name] == keys["default"] for name in recipes)
    loaded = {name: load(make_project(tmp_path / name, **r)) for name, r in recipes.items()}
    assert loaded.pop("default") == load(PROJECT)
    assert all(params != load(PROJECT) for params in loaded.values())


def test_a_missing_key_is_named(tmp_path):
    make_project(tmp_path)
    params = yaml.safe_load((tmp_path / "params.yaml").read_text())
    del params["train"]["epochs"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    with pytest.raises(UserError, match=r"train\.epochs is missing"):
        load(tmp_path)


def test_broken_yaml_is_one_line(tmp_path):
    (tmp_path / "params.yaml").write_text("train: [1,\nmodel: {")
    with pytest.raises(UserError, match=r"^params.yaml is not valid YAML: [^\n]*$"):
        load(tmp_path)


def test_a_number_as_dvc_writes_it(tmp_path):
    make_project(tmp_path)
    text = (tmp_path / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("learning_rate: 0.001", "learning_rate: 1e-05"))
    assert load(tmp_path).train.learning_rate == 0.00001
