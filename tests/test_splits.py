"""No group spans two splits, and pictures stay where they were put."""

from conftest import PROJECT
from hypothesis import given
from hypothesis import strategies as st

from happysad.common.params import load
from happysad.data import splits

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
