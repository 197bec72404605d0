import pytest

from mm15_jax.cli.main import USER_ERROR, main

SEARCH = ["mm15_3b_sft", "--topology", "v5p:4x4x4", "--search"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mm15_3b_sft"], "--topology"),
        (["mm15_3b_sft", "--topology", "v5p:4x4x5"], "did you mean 'v5p:4x4x8'"),
        (["mm15_3b_sf", "--topology", "v5p:4x4x4"], "mm15_3b_sft"),
        (["mm15_3b_sft", "--topology", "v5p:4x4x4", "--slices", "0"], "--slices is 0"),
        (["mm15_3b_sft", "--topology", "v5p:4x4x4", "--update"], "--search"),
        ([*SEARCH, "--tiles", "a"], "whole numbers"),
        ([*SEARCH, "--tiles=-3"], "numbers above 0"),
        ([*SEARCH, "--tries", "0"], "tries"),
        (["mm15_3b_sft", "--topology", "v5p:4x4x4", "--timeout", "0"], "timeout"),
        (
            ["mm15_3b_sft", "--topology", "v5p:4x4x4", "--set", "mesh.fsdp=64", "mesh.tensor=2"],
            "needs a multiple of 128 devices; there are 64: lower another axis than mesh.data",
        ),
        (
            [*SEARCH, "--set", "mesh.fsdp=64", "mesh.tensor=2"],
            "needs a multiple of 128 devices; there are 64",
        ),
        (
            [*SEARCH, "--set", "mesh.data=1", "mesh.fsdp=32"],
            "needs 32 devices; there are 64: set one axis to 0",
        ),
        (
            [*SEARCH, "--set", "train.batch_rows=7", "train.accumulation=7"],
            "set train.batch_rows to a multiple of 448\n",
        ),
        (["mm15_3b_sft", "--table"], "takes no experiment"),
        (
            ["--table", "--topology", "v5e:2x2"],
            "--topology is of a plan of one program or",
        ),
        (["--table", "--search"], "exclude each other"),
        ([*SEARCH, "--dump", "f"], "--dump is of a plan of one program, and does nothing with"),
        (["mm15_3b_sft", "--topology", "v5p:4x4x4", "--tries", "3"], "does nothing without it"),
        ([*SEARCH, "--update", "--set", "train.batch_rows=1024"], "--set train.batch_rows=1024"),
        (
            ["mm15_3b_sft", "--topology", "v5p:4x4x4", "--dump", "nowhere/f"],
            "--dump nowhere/f: there is no folder nowhere",
        ),
        (
            ["mm15_3b_sft", "--topology", "v5p:4x4x4", "--dump", "/"],
            "--dump / is a folder; expected a file",
        ),
        (["mm15_3b_sft", "--topology", "v5p:4x4x4", "--memory", "inf"], "--memory is inf"),
        (["mm15_3b_sft", "--topology", "v5p:4x4x4", "--timeout", "nan"], "--timeout is nan"),
        (
            ["mm15_nano_video_training_free", "--topology", "v5e:1x1"],
            "mm15_nano_video_training_free trains nothing",
        ),
        (
            ["mm15_3b_sft", "--topology", "v5p:4x4x4", "--set", "train.batch_rows=7"],
            "train.batch_rows",
        ),
    ],
)
def test_a_mistake_is_answered_in_one_sentence(words, said, capsys):
    assert main(["plan", *words]) == USER_ERROR
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
