import json
import re

import pytest

from mm15_jax.cli import inspect_hash
from mm15_jax.config import replace_nested
from mm15_jax.data.inspection import read_rows
from mm15_jax.data.planning import plan_mixture
from mm15_jax.data.storage import to_path
from tests import tiny

SMALL = [
    "mm15_nano_sft",
    "--set",
    "train.batch_rows=8",
    "data.window=64",
    "inputs.tiles_per_row=6",
    "data.prefetch=1",
]


def hash_of(mm15, data_dir, *words):
    outcome = mm15("inspect", *SMALL, "--data_dir", data_dir, "--hash", "--json", *words)
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_one_hash_for_any_number_of_hosts_and_after_restarts(mm15, data_dir):
    one = hash_of(mm15, data_dir, "--batches", 6)
    for hosts in ("2", "4", "8", "4,2", "1,8,2"):
        other = hash_of(mm15, data_dir, "--batches", 6, "--hosts", hosts)
        assert other["sha256"] == one["sha256"] and other["next_cursor"] == one["next_cursor"]
    rest = hash_of(mm15, data_dir, "--batches", 3, "--hosts", "2", "--cursor",
                   hash_of(mm15, data_dir, "--batches", 3)["next_cursor"])  # fmt: skip
    assert rest["batches"] == one["batches"][3:]
    assert rest["next_cursor"] == one["next_cursor"]
    assert len(set(one["batches"])) == 6


def test_the_hash_is_of_what_is_in_the_batches(mm15, data_dir):
    base = hash_of(mm15, data_dir, "--batches", 2)["sha256"]
    assert hash_of(mm15, data_dir, "--batches", 2, "--set", "train.seed=1")["sha256"] != base
    balances = {
        hash_of(mm15, data_dir, "--batches", 2, "--set", f"inputs.loss_balance={name}")["sha256"]
        for name in ("token", "example")
    }
    assert len(balances) == 2  # the same examples, other loss weights


def test_a_hash_without_json_is_one_line(mm15, data_dir):
    outcome = mm15("inspect", *SMALL, "--data_dir", data_dir, "--hash", "--batches", 1)
    assert re.fullmatch(r"[0-9a-f]{64}\n", outcome.out)


def test_rows_that_do_not_divide_are_refused(refused, data_dir):
    assert "train.batch_rows 8 does not divide over 3 hosts" in refused(
        "inspect", *SMALL, "--data_dir", data_dir, "--hash", "--hosts", 3
    )
    assert "--hosts is 'x'; expected numbers above 0" in refused(
        "inspect", *SMALL, "--data_dir", data_dir, "--hash", "--hosts", "x"
    )


def test_row_digests_tell_arrays_apart():
    import numpy as np

    zeros = {"a": np.zeros((1, 4), np.int32), "b": np.ones((1, 4), np.int32)}
    swapped = {"a": zeros["b"], "b": zeros["a"]}
    other_type = {"a": zeros["a"].astype(np.float32), "b": zeros["b"]}
    digests = {inspect_hash._row_digest(batch, 0) for batch in (zeros, swapped, other_type)}
    assert len(digests) == 3


def test_figures_are_those_of_the_plan(mm15, data_dir):
    outcome = mm15("inspect", *SMALL, "--data_dir", data_dir, "--batches", 20, "--json")
    found = json.loads(outcome.out)
    assert found["rows"] == 160
    for measure in ("target", "examples", "tokens", "tiles"):
        assert sum(c[measure] for c in found["categories"].values()) == pytest.approx(1)
    for category in found["categories"].values():
        assert category["examples"] == pytest.approx(category["target"], abs=0.03)
    assert 0.5 < found["token_fill"] <= 1 and 0.5 < found["tile_fill"] <= 1
    assert found["tokens"] == round(found["token_fill"] * 160 * 256)
    assert any(source["milliseconds"] > 0 for source in found["datasets"])
    assert not found["bad_records"]


def test_the_table_names_every_data_set(mm15, data_dir):
    outcome = mm15("inspect", *SMALL, "--data_dir", data_dir, "--stats")
    for name in tiny.DATASETS:
        assert name in outcome.out
    assert "fill: tokens" in outcome.out and "next cursor" in outcome.out


def test_the_page_shows_rows_as_they_are(mm15, data_dir, tmp_path):
    words = ("--data_dir", data_dir, "--out", tmp_path / "page", "--rows", 3)
    outcome = mm15("inspect", *SMALL, *words)
    assert outcome.code == 0, outcome.err
    page = (tmp_path / "page" / "inspect.html").read_text()
    assert outcome.out.strip() == str(tmp_path / "page" / "inspect.html")
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)  # nothing from elsewhere
    assert page.count('<section class="row"') == 3
    config = replace_nested(tiny.experiment(), {"train.batch_rows": 8, "data.window": 64})
    assert "The mixture as it comes out" in page and config.data.mixture in page
    assert "data:image/png;base64," in page and "<kbd>user</kbd>" in page


def test_pieces_of_a_row_cover_its_tokens_and_mark_what_is_learned(data_dir):
    config = tiny.experiment(**{"inputs.tiles_per_row": 8})
    plan, datasets = plan_mixture(config, data_dir)
    rows, _ = plan.batch(0, 6)
    learned = tiles = 0
    for row in read_rows(dict(enumerate(rows)), datasets, config):
        end = 0
        for example in row.examples:
            for piece in example.pieces:
                assert piece.start == end < piece.stop
                end = piece.stop
                weights = row.batch["loss_weights"][0, piece.start : piece.stop]
                assert (weights > 0).all() if piece.loss else (weights == 0).all()
                vision = row.batch["vision_index"][0, piece.start : piece.stop] >= 0
                assert vision.all() if piece.kind == "tile" else not vision.any()
                learned += piece.loss * (piece.stop - piece.start)
            tiles += sum(len(picture.tiles) for picture in example.pictures)
        assert end == (row.batch["segment_ids"] > 0).sum()
    assert learned and tiles


def test_text_of_a_page_is_escaped(mm15, tmp_path):
    from mm15_jax.data.records import write_dataset
    from mm15_jax.inputs.example import Example, Text

    example = Example(
        (Text("say <script>alert(1)</script>", role="user"), Text("no", "assistant", True)),
        "mini_instructions", "k<b>&", "text", {},
    )  # fmt: skip
    write_dataset(tmp_path / "data" / "mini_instructions" / "train", [example] * 40)
    words = ("--data_dir", tmp_path / "data", "--out", tmp_path, "--set", "data.allow_missing=true")
    outcome = mm15("inspect", *SMALL, *words)
    assert outcome.code == 0, outcome.err
    page = (tmp_path / "inspect.html").read_text()
    assert "<script>" not in page and "k<b>" not in page and "k&lt;b>&amp;" in page


def test_rows_in_a_bucket_are_shown_on_a_page_there(mm15, gs_prefix):
    tiny.prepare_data(f"{gs_prefix}/data", ["mini_word_qa"])
    words = ("--data_dir", f"{gs_prefix}/data", "--out", f"{gs_prefix}/page", "--hash")
    settings = ("--set", "data.allow_missing=true", "train.batch_rows=4")
    outcome = mm15("inspect", *SMALL, *words, "--batches", 1, "--rows", 1, *settings)
    assert outcome.code == 0, outcome.err
    page = to_path(f"{gs_prefix}/page/inspect.html")
    assert str(page) in outcome.out and "mini_word_qa" in page.read_text()
