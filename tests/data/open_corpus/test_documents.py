from __future__ import annotations

import io
import shutil

import numpy as np
import PIL.Image
import pytest

from mm15_jax.data.open_corpus import documents, handbook, pdf
from mm15_jax.inputs.example import Text
from tests.data.open_corpus import corpus_fixtures as fixtures
from tests.data.open_corpus.read_corpus import (
    answer_of,
    count,
    every,
    examples,
    images,
)


def test_pages_are_read_as_printed(corpus):
    path = corpus / "usr/share/developers-reference/developers-reference.pdf"
    page = pdf.read_page(path, 0)
    assert [line.text for line in page.lines] == [text for *_, text in fixtures.PAGE_LINES]
    assert documents._headings(page) == ["1.1 Removing packages"]
    word = page.words[0]
    assert word.text == "A"
    assert word.box[0] == pytest.approx(72, abs=1)
    assert word.baseline == pytest.approx(792 - 760, abs=0.5)


def test_pdf_boxes_lie_on_the_ink(corpus):
    path = corpus / "usr/share/developers-reference/developers-reference.pdf"
    page = pdf.read_page(path, 3)
    picture = pdf.render(path, 3, 2.0).min(axis=2) < 128
    inked = np.zeros_like(picture)
    for word in page.words:
        x1, y1, x2, y2 = (round(2 * v) for v in word.box)
        assert picture[y1:y2, x1:x2].mean() > 0.1
        inked[y1 - 2 : y2 + 2, x1 - 2 : x2 + 2] = True
    assert not (picture & ~inked).any()


def test_line_crops_have_print_of_10_to_14_pixels_and_no_neighbours(corpus):
    for example in examples("open_lines", "test", corpus) + examples(
        "open_lines", "validation", corpus
    ):
        (image,) = images(example)
        pixels = np.asarray(PIL.Image.open(io.BytesIO(image.data)).convert("L"))
        assert 12 <= image.height <= 20
        ink = np.flatnonzero((pixels < 140).any(axis=1))
        assert ink[-1] - ink[0] + 1 <= 15
        # Nothing is cut at the sides.
        assert pixels[:, [0, -1]].min() > 100
        assert len(answer_of(example)) <= documents.LONGEST_LINE


def test_a_page_gives_its_words_and_boxes_as_pdfa_does(corpus):
    found = examples("open_page_texts", "train", corpus)
    for example in found:
        words, boxes = example.metadata["words"], example.metadata["boxes"]
        assert len(words) == len(boxes) > 100
        assert words[:3] == ["A", "Small", "Manual"]
        assert all(min(x, y) >= 0 and x + w <= 1 and y + h <= 1 for x, y, w, h in boxes)
        assert images(example)[0].width == 1020
        assert example.segments[1].text.splitlines()[1] == "1.1 Removing packages"


def test_page_questions_name_the_right_line(corpus):
    ordinals = {w: i for i, w in enumerate(documents.ORDINALS)}
    lines = [text for *_, text in fixtures.PAGE_LINES]
    for example in examples("open_pages", "train", corpus):
        if example.metadata["kind"] == "line":
            question = next(s.text for s in example.segments if isinstance(s, Text))
            assert answer_of(example) == lines[ordinals[question.split()[3]]]
        if example.metadata["kind"] == "heading":
            assert answer_of(example) == "1.1 Removing packages"


def test_a_broken_document_is_named_and_left_out(tmp_path, caplog):
    fixtures.add_documents(tmp_path)
    fixtures.write(tmp_path / "usr/share/doc/debian/FAQ/debian-faq.en.pdf.gz", b"not gzip")
    fixtures.write(tmp_path / "usr/share/doc/maint-guide/maint-guide.en.pdf", b"%PDF-1.4 nothing")
    total = count("open_paragraphs", tmp_path)
    assert total == 20 * documents.PARAGRAPH_CROPS
    assert "debian-faq.en.pdf.gz is not a readable PDF" in caplog.text
    assert "maint-guide.en.pdf is not a readable PDF" in caplog.text


# Handbook.


def test_handbook_is_interleaved_in_page_order_without_navigation(corpus):
    example = next(e for _, e in every("open_handbook", corpus) if e.key == "sect.page3/0")
    before, image, after = example.segments
    assert before.text == ("3.1. Page\nBefore figure 3: see → https://example.org/ for more.")
    assert (image.width, image.height) == (30, 20)
    assert after.text == "Figure 3. A screen\n- An item.\n$ ls\n  a  b"


def test_handbook_chunks_are_bounded_and_lose_nothing():
    blocks = (
        handbook.Block("word " * 1000),
        handbook.Block("A sentence. " * 20),
        handbook.Block(image="images/a.png"),
        handbook.Block("x" * 3000),
    )
    found = handbook.chunks(blocks, 1200)
    assert all(sum(b.length for b in c) <= 1200 for c in found)
    joined = "".join(b.text for c in found for b in c).replace(" ", "")
    assert joined == "".join(b.text for b in blocks).replace(" ", "")
    with_image = next(c for c in found if any(b.image for b in c))
    assert with_image[0].text


def test_a_figure_stays_with_its_caption():
    image, caption = handbook.Block(image="images/a.png"), handbook.Block("Figure 1. A screen")
    blocks = (handbook.Block("x " * 150), image, caption, handbook.Block("y " * 150))
    assert handbook.chunks(blocks, 500) == [blocks[:3], blocks[3:]]
    long = handbook.Block("z " * 240)
    assert handbook.chunks((long, *blocks[1:]), 500) == [(long,), blocks[1:]]


def test_handbook_pages_with_the_same_picture_share_a_split(tmp_path):
    fixtures.add_handbook(tmp_path)
    folder = tmp_path / handbook.FOLDER / "images"
    for i in range(1, 12):
        shutil.copy(folder / "figure0.png", folder / f"figure{i}.png")
    assert len({split for split, _ in every("open_handbook", tmp_path)}) == 1


def test_figures_of_the_handbook_are_screens_with_captions(corpus):
    found = every("open_screens", corpus)
    assert len(found) == 12 and {split for split, _ in found} == {"test"}
    example = next(e for _, e in found if e.key == "images/figure3.png")
    assert [type(segment).__name__ for segment in example.segments] == ["Image", "Text", "Text"]
    assert example.metadata["answer"] == example.segments[-1].text == "A screen"
