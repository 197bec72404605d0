"""What an ablation takes: each thing once."""

import pytest

from mm15_jax.ablations import catalog
from mm15_jax.ablations.draws import Draw
from mm15_jax.ablations.measures import benchmarks_of
from mm15_jax.ablations.runs import plan
from mm15_jax.config import load

ALL = [(name, scale) for name in catalog.names() for scale in catalog.scales_of(name)]


@pytest.mark.parametrize(("name", "scale"), ALL)
def test_every_row_of_every_ablation_is_an_experiment(name, scale):
    ablation = catalog.find(name, scale)
    for experiment in ablation.experiments:
        assert load(experiment).name == experiment
    assert benchmarks_of(ablation.measures, scale)
    assert plan(ablation).asked


def test_a_row_differs_from_the_others_of_its_table():
    for name, scale in ALL:
        # A sweep's series begin in one point, where none has anything of what it adds.
        asked = plan(catalog.find(name, scale)).asked
        runs = [one for one in asked if one.row.x or not one.row.series]
        assert len({(one.run.folder, one.overrides) for one in runs}) == len(runs), name


def folders(name, scale="nano", **more):
    return [run.folder for run in plan(catalog.find(name, scale), **more).runs]


def test_rows_share_what_they_start_from():
    found = folders("table1")
    assert found[:2] == ["mm15_nano_pretrain", "mm15_nano_reading"] and len(found) == 9


def test_rows_of_different_tables_are_one_run_where_they_are_the_same():
    shared = set(folders("table1")) & set(folders("table2")) & set(folders("table3"))
    assert "table1_row3_nano" in shared
    assert "fig8_base_nano" in folders("fig9a")
    # A ratio of nothing is the same mixture, whatever is left out of it.
    assert {"fig5_text_rich_nano", "fig6_math_0.1_nano"} < set(folders("fig6"))
    assert not {"fig6_math_0_nano", "fig7_text_0_nano"} & {*folders("fig6"), *folders("fig7")}


def test_a_row_that_trains_nothing_asks_another_rows_run():
    asked = {a.row.key: a for a in plan(catalog.find("table2", "nano")).asked}
    assert asked["7"].run == asked["1"].run
    assert asked["7"].overrides == ("eval.n_min=1", "eval.n_max=9")
    assert asked["7"].folder == "table1_row3_nano/table2_row7_nano"


def test_stages_of_a_row_are_its_own_and_have_its_seed():
    work = plan(catalog.find("fig9a", "nano"), seeds=2, rows=["378"])
    names = [(run.folder, run.overrides) for run in work.runs]
    assert names == [
        ("mm15_nano_pretrain", ()),
        ("fig9a_378_nano_continual", ()),
        ("fig9a_378_nano", ()),
        ("fig9a_378_nano_continual_seed1", ("train.seed=1",)),
        ("fig9a_378_nano_seed1", ("train.seed=1",)),
    ]
    assert work.runs[-1].start == work.runs[-2]


def test_another_start_trains_again_all_that_rows_share():
    work = plan(catalog.find("fig9a", "nano"), starts=2, seeds=2, rows=["378"])
    names = [(run.folder, run.overrides) for run in work.runs if "start1" in run.folder]
    assert names == [
        ("mm15_nano_pretrain_start1", ("train.seed=1000",)),
        ("fig9a_378_nano_continual_start1", ("train.seed=1000",)),
        ("fig9a_378_nano_start1", ("train.seed=1000",)),
        ("fig9a_378_nano_continual_start1_seed1", ("train.seed=1001",)),
        ("fig9a_378_nano_start1_seed1", ("train.seed=1001",)),
    ]
    for asked in work.asked:
        first, *_, last = asked.run.chain
        assert first.folder == f"mm15_nano_pretrain{Draw(asked.draw.start, 0).suffix}"
        assert last.config.train.seed == asked.draw.train_seed


def test_a_row_that_trains_nothing_asks_the_same_draw_of_another_row():
    asked = plan(catalog.find("table2", "nano"), starts=2, rows=["7"]).asked
    assert [a.folder for a in asked] == [
        "table1_row3_nano/table2_row7_nano",
        "table1_row3_nano_start1/table2_row7_nano",
    ]


def test_draws_can_be_chosen():
    asked = plan(catalog.find("fig8", "nano"), starts="3:5", seeds="1:3", rows=["all"]).asked
    assert [a.draw for a in asked] == [Draw(3, 1), Draw(3, 2), Draw(4, 1), Draw(4, 2)]
    assert asked[0].run.folder == "fig8_all_nano_start3_seed1"


def test_overrides_are_those_of_every_run():
    work = plan(catalog.find("fig8", "nano"), overrides=["train.steps=7"])
    assert {run.config.train.steps for run in work.runs} == {7}


def test_tables_4_to_9_are_asked_in_context_too():
    for name in ("scaling", "moe"):
        (first, *_) = plan(catalog.find(name, "3b")).asked
        assert "vl_icl_clevr" in first.benchmarks and "mme" in " ".join(first.benchmarks)
        (mini, *_) = plan(catalog.find(name, "nano")).asked
        assert all(benchmark.startswith("mini_") for benchmark in mini.benchmarks)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"overrides": ["train.seed=7"]}, "train.seed is what --starts and --seeds draw"),
        ({"overrides": [" train.seed=7"]}, "train.seed is what --starts and --seeds draw"),
        ({"overrides": ["init_from=mm15_nano_pretrain"]}, "--set init_from would make another exp"),
        ({"overrides": ["stage=evaluation"]}, "--set stage would make another experiment of every"),
        ({"overrides": ["name=foo"]}, "--set name would make another experiment of every row"),
        ({"overrides": ["family =x"]}, "--set family would make another experiment of every row"),
        ({"rows": ["bsae"]}, "unknown row of fig8 'bsae'; did you mean 'base'"),
        ({"seeds": 0}, "--seeds is 0; expected how many, 1 to 1000, or which, 3:7 for"),
        ({"starts": 1001}, "--starts is 1001; expected how many, 1 to 1000, or which"),
        ({"starts": "7:3"}, "--starts is 7:3; expected how many"),
        ({"starts": "3-7"}, "--starts is 3-7; expected how many"),
        ({"seeds": "-1:2"}, "--seeds is -1:2; expected how many"),
        ({"overrides": ["train.stepz=1"]}, "train.steps"),
    ],
)
def test_mistakes_are_told(more, message):
    with pytest.raises(ValueError, match=message):
        plan(catalog.find("fig8", "nano"), **more)


def test_unknown_names_and_scales():
    with pytest.raises(ValueError, match="did you mean 'table1'"):
        catalog.find("tabel1", "nano")
    with pytest.raises(ValueError, match="moe has no scale '7b'; it has nano, 1b, 3b"):
        catalog.find("moe", "7b")
