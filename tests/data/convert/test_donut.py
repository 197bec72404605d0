"""Pages with the words that stand in them."""

from mm15_jax.evaluation.metrics import score_answer
from tests.data.convert.converted import convert, turns
from tests.data.convert.fixtures.donut_sets import FIXTURES
from tests.data.convert.pictures import picture


def test_a_page_is_read_aloud(tmp_path):
    FIXTURES["synthdog_en"].make(tmp_path)
    good, bad = convert("donut", "synthdog_en", "train", tmp_path)
    first, second = good.values()
    question = "Read all the text in the image."
    assert turns(first) == [(question, "The town of Åhus\tis old.")] and not first.metadata
    assert second.segments[0].data == picture(shade=30)
    assert "no gt_parse.text_sequence" in next(iter(bad.values()))


def test_folders_with_metadata_are_read_too(tmp_path):
    FIXTURES["synthdog_en"].make(tmp_path)
    good, bad = convert("donut", "synthdog_en", "validation", tmp_path)
    assert list(good) == ["validation/image_0.jpg"]
    example = good["validation/image_0.jpg"]
    assert example.segments[0].data == picture(shade=50)
    assert score_answer("Held out words", example) == 1
    empty, outside, missing = bad.values()
    assert empty == "a page without text" and "image_9.jpg" in missing
    assert "there is no file" in outside  # validation/../secret.jpg: still inside of the source
