"""What a data directory holds."""

import pytest

from mm15_jax.data.inventory import check_data_dir, dataset_counts
from mm15_jax.data.miniature import SETS
from mm15_jax.data.records import write_dataset
from tests.data.conftest import picture_question


@pytest.fixture
def directory(tmp_path):
    path = tmp_path / "numbers" / "train"
    write_dataset(path, map(picture_question, range(31)), shards=4)
    return path


def test_data_dir_that_is_empty_or_absent_is_one_sentence(tmp_path):
    command = f"`mm15 prepare {{}} --source DIR --out {tmp_path}`"
    with pytest.raises(ValueError, match=r"is empty: run .* first") as error:
        dataset_counts(["a", "b"], tmp_path)
    assert f"run {command.format('a')}, {command.format('b')} first" in str(error.value)
    with pytest.raises(
        ValueError, match=f"does not exist: run `mm15 prepare NAME --out {tmp_path}/no"
    ):
        check_data_dir(tmp_path / "no")


def test_the_command_makes_all_that_can_be_generated_where_it_was_looked_for(tmp_path):
    names = [name for name in SETS if name.startswith("mini_")]
    assert len(names) > 8
    with pytest.raises(ValueError, match="does not exist") as error:
        dataset_counts([*names, "docvqa"], tmp_path / "mine")
    assert f"run `mm15 prepare {' '.join(names)} --out {tmp_path}/mine`, " in str(error.value)
    assert f"`mm15 prepare docvqa --source DIR --out {tmp_path}/mine` first" in str(error.value)


def test_missing_data_sets_may_be_left_out_if_asked(directory):
    data_dir = directory.parent.parent
    assert dataset_counts(["numbers"], data_dir) == {"numbers": 31}
    names = ["numbers", "letters"]
    assert dataset_counts(names, data_dir, allow_missing=True) == {"numbers": 31}
    with pytest.raises(ValueError, match=r"1 of 2 .*: letters; run `mm15 prepare letters --source"):
        dataset_counts(names, data_dir)


def test_a_data_set_of_no_examples_is_missing(directory):
    data_dir = directory.parent.parent
    write_dataset(data_dir / "letters" / "train", [])
    names = ["numbers", "letters"]
    with pytest.raises(ValueError, match=r"1 of 2 .*: letters; run"):
        dataset_counts(names, data_dir)
    assert dataset_counts(names, data_dir, allow_missing=True) == {"numbers": 31}
