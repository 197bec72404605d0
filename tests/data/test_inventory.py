"""What a data directory holds."""

import pytest

from mm15_jax.data.inventory import dataset_counts
from mm15_jax.data.records import write_dataset
from tests.data.conftest import picture_question


@pytest.fixture
def directory(tmp_path):
    path = tmp_path / "numbers" / "train"
    write_dataset(path, map(picture_question, range(31)), shards=4)
    return path


def test_data_dir_that_is_empty_or_absent_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="is empty: run `mm15 prepare a b` first"):
        dataset_counts(["a", "b"], tmp_path)
    with pytest.raises(ValueError, match="does not exist: run `mm15 prepare a` first"):
        dataset_counts(["a"], tmp_path / "nowhere")


def test_missing_data_sets_may_be_left_out_if_asked(directory):
    data_dir = directory.parent.parent
    assert dataset_counts(["numbers"], data_dir) == {"numbers": 31}
    names = ["numbers", "letters"]
    assert dataset_counts(names, data_dir, allow_missing=True) == {"numbers": 31}
    with pytest.raises(ValueError, match=r"1 of 2 .*: letters; run `mm15 prepare letters --source"):
        dataset_counts(names, data_dir)
