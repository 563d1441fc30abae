"""No group spans two splits, and pictures stay where they were put."""

from dataclasses import replace

from conftest import PROJECT
from hypothesis import given
from hypothesis import strategies as st

from happysad.common.params import load
from happysad.data import splits

PARAMS = load(PROJECT).prepare
keys = st.text("0123456789abcdef", min_size=16, max_size=16)
RANK = {"train": 0, "validation": 1, "test": 2}


@given(st.sets(keys, min_size=1, max_size=6), keys, st.integers(0, 2**32 - 1))
def test_a_newcomer_draws_its_group_towards_test_only(group, newcomer, seed):
    params = replace(PARAMS, seed=seed)
    before = splits.assign(group, {""}, {""}, params)
    after = splits.assign(group | {newcomer}, {""}, {""}, params)
    assert RANK[after] >= RANK[before]
    assert after in {before, splits.assign({newcomer}, {""}, {""}, params)}


@given(
    st.sets(keys, min_size=1, max_size=4),
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
    found = [splits.assign({str(i)}, {""}, {""}, PARAMS) for i in range(20_000)]
    assert abs(found.count("test") / 20_000 - PARAMS.test_fraction) < 0.01
    assert abs(found.count("validation") / 20_000 - PARAMS.validation_fraction) < 0.01


def test_the_seed_matters():
    one, two = (
        [splits.assign({str(i)}, {""}, {""}, replace(PARAMS, seed=s)) for i in range(100)] for s in (1, 2)
    )
    assert one != two
