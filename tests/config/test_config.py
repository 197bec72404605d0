import json
import pickle
import re
import subprocess
import sys

import pytest

from mm15_jax import config

FULL_SIZE = [
    f"mm15_{size}_{stage}"
    for size in ("1b", "3b", "7b", "30b", "nano")
    for stage in ("pretrain", "continual", "sft")
]


@pytest.mark.parametrize("name", FULL_SIZE)
def test_every_stage_of_every_size_is_an_experiment(name):
    assert config.load(name).name == name


@pytest.mark.parametrize("name", config.experiments())
def test_a_config_survives_its_json(name):
    experiment = config.load(name)
    assert config.from_dict(config.ExperimentConfig, config.to_dict(experiment)) == experiment


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train": {"steps": "many"}}, "train.steps is 'many'; expected a whole number"),
        ({"train": {"steps": None}}, "train.steps is None; expected a whole number"),
        ({"train": 3}, "train is 3; expected a group"),
        ({"name": None}, "name is None; expected a text"),
        ({"eval": {"benchmarks": "abc"}}, "eval.benchmarks is 'abc'; expected a list"),
        ({"optimizer": {"frozen": [1]}}, "optimizer.frozen[0] is 1; expected a text"),
        ({"init_from": [{"part": 1}]}, "InitFrom has no field 'part'"),
    ],
)
def test_a_value_of_another_type_is_told_with_its_key(changes, said):
    values = {**config.to_dict(config.load("mm15_nano_sft")), **changes}
    with pytest.raises(ValueError, match=re.escape(said)):
        config.from_dict(config.ExperimentConfig, values)


def test_a_whole_number_is_a_number():
    values = {**config.to_dict(config.load("mm15_nano_sft")), "optimizer": {"clip_norm": 1}}
    assert config.from_dict(config.ExperimentConfig, values).optimizer.clip_norm == 1


def test_every_key_can_be_set_to_the_value_it_has():
    experiment = config.load("mm15_3b_sft")
    for key in config.keys(experiment):
        value = experiment
        for part in key.split("."):
            value = getattr(value, part)
        if key in ("init_from", "meshes"):  # lists of dataclasses
            continue
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        assert config.apply_overrides(experiment, [f"{key}={text}"]) == experiment, key


@pytest.mark.parametrize(
    ("assignment", "key", "value"),
    [
        ("train.steps=1e3", "steps", 1000),
        ("train.steps=1_000", "steps", 1000),
        ("train.seed=1719412345678901234", "seed", 1719412345678901234),
        ("train.compute_dtype=float32", "compute_dtype", "float32"),
    ],
)
def test_values_are_read_by_the_type_of_their_field(assignment, key, value):
    changed = config.apply_overrides(config.load("mm15_nano_sft"), [assignment])
    assert getattr(changed.train, key) == value


def test_brackets_are_of_a_list_only_where_they_enclose_it():
    experiment = config.load("mm15_nano_sft")
    changed = config.apply_overrides(experiment, ["data.streams=web=/sets/web (2024)"])
    assert changed.data.streams == ("web=/sets/web (2024)",)
    changed = config.apply_overrides(experiment, ["data.streams=[web=/a, text=/b]"])
    assert changed.data.streams == ("web=/a", "text=/b")


def test_a_pair_and_a_boolean_are_read():
    changed = config.load(
        "mm15_nano_sft", ["inputs.splitting.static_grid=3,2", "data.allow_missing=true"]
    )
    assert changed.inputs.splitting.static_grid == (3, 2)
    assert changed.data.allow_missing is True


@pytest.mark.parametrize(
    ("name", "overrides", "words"),
    [
        ("mm15_3b_sfd", [], ["mm15_3b_sfd", "mm15_3b_sft"]),
        ("mm15_3b_sft", ["train.step=3"], ["train.step", "'train.steps'"]),
        ("mm15_3b_sft", ["optimiser.name=adamw"], ["optimiser.name", "optimizer.name"]),
        ("mm15_3b_sft", ["train.steps=many"], ["train.steps=many", "whole number"]),
        ("mm15_3b_sft", ["train.steps=1.5"], ["1.5", "whole number"]),
        ("mm15_3b_sft", ["train.steps"], ["no '='"]),
        ("mm15_3b_sft", ["train=3"], ["group", "train.steps"]),
        ("mm15_3b_sft", ["train.steps.more=3"], ["too deep"]),
        ("mm15_3b_sft", ["train.steps=0"], ["train.steps", "more than 0"]),
        ("mm15_3b_sft", ["data.allow_missing=perhaps"], ["true or false"]),
        ("mm15_3b_sft", ["data.mixture=sft_al"], ["sft_al", "sft_all"]),
        ("mm15_3b_sft", ["inputs.splitting.static_grid=2"], ["static_grid"]),
        ("mm15_3b_sft", ["inputs.splitting.n_min=10"], ["n_min 10", "n_max 9"]),
        (
            "mm15_3b_sft",
            ["inputs.splitting.mode=static", "inputs.splitting.static_grid=0,2"],
            ["static_grid is (0, 2)", "1 or more"],
        ),
        ("mm15_3b_sft", ["eval.n_min=9", "eval.n_max=4"], ["n_min 9, n_max 4", "eval.n_min <="]),
        ("mm15_3b_sft", ["data.max_bad_fraction=-1"], ["max_bad_fraction is -1.0", "0 to 1"]),
        ("mm15_3b_sft", ["data.max_bad_fraction=5"], ["max_bad_fraction is 5.0", "0 to 1"]),
        ("mm15_3b_sft", ["model.decoder.layers=-2"], ["layers is -2", "0 or more"]),
        ("mm15_3b_sft", ["model.encoder.layers=-1"], ["encoder.layers is -1", "0 or more"]),
        ("mm15_3b_sft", ["model.decoder.ffn_width=0"], ["ffn_width is 0", "more than 0"]),
        ("mm15_3b_sft", ["model.connector.depth=-1"], ["depth is -1", "0 or more"]),
        ("mm15_3b_sft", ["optimizer.b2=1"], ["optimizer.b2 is 1.0", "less than 1"]),
        ("mm15_3b_sft", ["optimizer.weight_decay=-1"], ["weight_decay is -1.0", "0 or more"]),
        ("mm15_3b_sft", ["train.seed=1e20"], ["train.seed is 1", "64 bits"]),
        ("mm15_3b_sft", ["eval.during.split=tets"], ["eval.during.split", "'tets'", "'test'"]),
        ("mm15_3b_sft", ["model.connector.tokens=145"], ["145", "144"]),
        ("mm15_3b_sft", ["model.encoder.resolution=670"], ["670", "658"]),
        ("mm15_3b_sft", ["model.decoder.kv_heads=7"], ["kv_heads 7"]),
        ("mm15_3b_moe_sft", ["model.decoder.moe.every=4"], ["moe.every 4", "26 layers", "is 2"]),
        ("mm15_3b_moe_sft", ["model.decoder.moe.top_k=65"], ["top_k is 65 of 64"]),
        ("mm15_3b_moe_sft", ["model.decoder.moe.dispatch=droples"], ["'dropless'"]),
        ("mm15_3b_moe_sft", ["mesh.expert=24"], ["mesh.expert 24", "64 experts", "is 16"]),
        ("nowhere.py:sft", [], ["nowhere.py:sft", "path/to/file.py:function"]),
        ("nowhere:sft", [], ["nowhere:sft", "path/to/file.py:function"]),
    ],
)
def test_a_mistake_is_answered_with_what_would_be_right(name, overrides, words):
    with pytest.raises(ValueError) as error:
        config.load(name, overrides)
    for word in words:
        assert word in str(error.value)
    assert "\n" not in str(error.value)


def test_an_experiment_of_a_users_own_file(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from mm15_jax.config import replace_nested\n"
        "from mm15_jax.experiments import nano\n"
        "def small():\n    return replace_nested(nano.sft(), {'train.steps': 7})\n"
    )
    assert config.load(f"{file}:small").train.steps == 7
    with pytest.raises(ValueError, match="small"):
        config.load(f"{file}:smal")


@pytest.mark.parametrize("name", ["of_my_own.py", "json.py"])
def test_a_users_own_file_may_have_dataclasses_and_any_name(tmp_path, name):
    file = tmp_path / name
    file.write_text(
        "from __future__ import annotations\n"
        "import dataclasses\n"
        "from mm15_jax.config import replace_nested\n"
        "from mm15_jax.experiments import nano\n"
        "@dataclasses.dataclass\nclass Length:\n    steps: int = 7\n"
        "def small():\n    return replace_nested(nano.sft(), {'train.steps': Length().steps})\n"
    )
    assert config.load(f"{file}:small").train.steps == 7
    assert sys.modules["json"] is json


def test_experiments_import_neither_jax_nor_numpy():
    code = (
        "import sys; from mm15_jax import config;"
        "[config.load(n) for n in config.experiments()];"
        "print([m for m in ('jax', 'numpy', 'flax', 'tensorflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_learning_rates_of_pretraining_follow_mm1():
    # exp(-0.4214 ln N - 0.5535) by hand for the 3B decoder.
    assert config.load("mm15_3b_pretrain").optimizer.peak_learning_rate == pytest.approx(
        6.05e-5, rel=0.01
    )
    assert config.load("mm15_3b_continual").optimizer.peak_learning_rate == 1e-5
    assert config.load("mm15_3b_sft").optimizer.peak_learning_rate == 2e-5


def test_what_was_given_is_known_but_no_part_of_the_config():
    own = config.load("mm15_1b_pretrain")
    same = config.load("mm15_1b_pretrain", ["mesh.fsdp=1", "train.accumulation=1"])
    assert same == own and hash(same) == hash(own) and repr(same) == repr(own)
    assert config.to_dict(same) == config.to_dict(own) and config.to_text(same) == config.to_text(
        own
    )
    assert same.was_given("mesh") and same.was_given("train.accumulation")
    assert not same.was_given("train.accu") and not own.was_given("mesh")
    changed = config.replace_nested(pickle.loads(pickle.dumps(same)), {"train.steps": 3})
    again = config.set_by_hand(changed, ["train.seed=1"])
    assert again.was_given("mesh.fsdp") and again.was_given("train.seed")
    assert not again.was_given("train.steps")
    with pytest.raises(ValueError, match="unknown key 'given'"):
        config.load("mm15_1b_pretrain", ["given=mesh"])
    with pytest.raises(ValueError, match="no field 'given'"):
        config.from_dict(config.ExperimentConfig, {**config.to_dict(own), "given": []})
