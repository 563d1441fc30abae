"""Pictures stay where they were put, scenes in one split, and small folders have both classes in each."""

from itertools import product

from conftest import PROJECT
from hypothesis import given
from hypothesis import strategies as st

from happysad.common.params import load
from happysad.data import splits
from happysad.data.manifest import Picture

PARAMS = load(PROJECT).prepare
positions = st.floats(0, 1, exclude_max=True)
RANK = {"train": 0, "validation": 1, "test": 2}


@given(st.sets(positions, min_size=1, max_size=6), positions)
def test_a_newcomer_moves_its_group_towards_test_only(group, newcomer):
    before = splits.assign(group, {""}, {""}, PARAMS)
    after = splits.assign(group | {newcomer}, {""}, {""}, PARAMS)
    assert RANK[after] >= RANK[before]
    assert after in {before, splits.assign({newcomer}, {""}, {""}, PARAMS)}


@given(
    st.sets(positions, min_size=1, max_size=4),
    st.sets(st.sampled_from(splits.SPLITS), min_size=1),
    st.sampled_from([{"train"}, {"train", "validation"}, {"train", "test"}, {"train", "validation", "test"}]),
)
def test_ready_made_splits_are_kept(group, given_splits, ready):
    given_splits = given_splits & ready or {"train"}
    split = splits.assign(group, given_splits, ready, PARAMS)
    if given_splits == {"train"}:
        assert split == "train" or split not in ready
    else:
        assert split == max(given_splits, key=RANK.get)


def test_fractions_hold():
    found = [splits.assign({splits.position(str(i), 1)}, {""}, {""}, PARAMS) for i in range(20_000)]
    assert abs(found.count("test") / 20_000 - PARAMS.test_fraction) < 0.01
    assert abs(found.count("validation") / 20_000 - PARAMS.validation_fraction) < 0.01


def test_the_seed_and_the_key_matter():
    assert len({splits.position(key, seed) for key in "abc" for seed in range(3)}) == 9


def picture(label: str, name: str, position: float | None = None) -> Picture:
    position = splits.position(name, 1) if position is None else position
    return Picture(f"{label}/{name}.jpg", label, "", status="kept", id=f"{label} {name}", position=position)


@given(st.integers(0, 10**6), st.integers(12, 30))
def test_each_split_has_both_classes_from_12_pictures_on(seed, n):
    scenes = [[picture(label, f"{seed + k}")] for label in ("happy", "sad") for k in range(n)]
    before = [splits.assign({p.position}, {""}, (), PARAMS) for (p,) in sorted(scenes, key=lambda s: s[0].id)]
    moved, divided = splits.split_scenes(scenes, (), PARAMS)
    pictures = sorted((p for scene in scenes for p in scene), key=lambda p: p.id)
    assert {(p.split, p.label) for p in pictures} == set(product(splits.SPLITS, ("happy", "sad")))
    assert divided == 0
    assert sum(p.split != split for p, split in zip(pictures, before, strict=True)) == moved <= 8


@given(st.lists(st.integers(6, 20), min_size=1, max_size=9), st.integers(0, 10**6))
def test_a_scene_lies_in_one_split_unless_it_is_divided(sizes, seed):
    scenes = [
        [picture(label, f"{seed} {k} {i}") for label in ("happy", "sad") for i in range(n)]
        for k, n in enumerate(sizes)
    ]
    _, divided = splits.split_scenes(scenes, (), PARAMS)
    assert {(p.split, p.label) for scene in scenes for p in scene} == set(
        product(splits.SPLITS, ("happy", "sad"))
    )
    assert divided == sum(len({p.split for p in scene}) > 1 for scene in scenes)
    assert divided <= 1 and (divided == 0 or 4 * max(sizes) > sum(sizes))


def test_a_scene_is_divided_in_natural_order():
    scene = [picture(label, f"frame{k}", 0.5) for label in ("happy", "sad") for k in range(20)]
    assert splits.split_scenes([scene], (), PARAMS) == (0, 1)
    assert sorted(splits.natural(p.path) for p in scene if p.split == "test" and p.label == "sad") == [
        splits.natural(f"sad/frame{k}.jpg") for k in range(4)
    ]
