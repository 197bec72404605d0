from __future__ import annotations

import functools
import hashlib
import io
import itertools
import shutil

import numpy as np
import PIL.Image
import pytest

from mm15_jax.data.open_corpus import PREPARATIONS, common, documents, handbook, kgm, maps, pdf
from mm15_jax.evaluation.metrics import METRICS
from mm15_jax.inputs.coordinates import parse_boxes, parse_points
from mm15_jax.inputs.example import Image, Text
from tests.data.open_corpus import corpus_fixtures as fixtures

BY_NAME = {p.name: p for p in PREPARATIONS}
# Documents to model, without a question.
DOCUMENT_SETS = {n for n in BY_NAME if n.startswith("open_handbook")} | {"open_page_texts"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return fixtures.make_corpus(tmp_path_factory.mktemp("corpus"))


@functools.cache
def examples(name, split, source):
    preparation = BY_NAME[name]
    return tuple(preparation.make(split, range(preparation.examples_in(split, source)), source))


def every(name, source):
    return [(split, e) for split in common.SPLITS for e in examples(name, split, source)]


def images(example):
    return [s for s in example.segments if isinstance(s, Image)]


def answer_of(example):
    return next(s.text for s in example.segments if isinstance(s, Text) and s.role == "assistant")


@pytest.mark.parametrize("name", BY_NAME)
def test_every_example_is_whole_and_counted(corpus, name):
    found = every(name, corpus)
    counts = sum(BY_NAME[name].examples_in(s, corpus) for s in common.SPLITS)
    assert len(found) == counts > 0
    assert len({e.key for _, e in found}) == len(found)
    for _, example in found:
        assert example.source == name
        assert example.category == BY_NAME[name].category
        assert any(isinstance(s, Text) and s.loss and s.text for s in example.segments)
        for image in images(example):
            with PIL.Image.open(io.BytesIO(image.data)) as picture:
                assert picture.size == (image.width, image.height)


@pytest.mark.parametrize("name", BY_NAME)
def test_the_truth_scores_full_marks_by_its_own_metric(corpus, name):
    for split, example in every(name, corpus):
        if split != "train" and name not in DOCUMENT_SETS:
            assert METRICS[example.metadata["metric"]](answer_of(example), example) == 1


@pytest.mark.parametrize("name", ["open_stamps", "open_maps", "open_flags", "open_handbook"])
def test_no_picture_is_in_two_splits(corpus, name):
    splits = {}
    for split, example in every(name, corpus):
        for image in images(example):
            splits.setdefault(hashlib.sha256(image.data).digest(), set()).add(split)
    assert all(len(s) == 1 for s in splits.values())


def test_a_page_is_in_the_same_split_of_all_document_sets(corpus):
    splits = {}
    for name in ("open_lines", "open_paragraphs", "open_pages", "open_page_texts"):
        for split, example in every(name, corpus):
            page = (example.metadata["document"], example.metadata["page"])
            splits.setdefault(page, set()).add(split)
    assert len(splits) == 20
    assert all(len(s) == 1 for s in splits.values())


@pytest.mark.parametrize("name", BY_NAME)
def test_a_range_gives_the_same_examples_as_the_whole(corpus, name):
    whole = examples(name, "train", corpus)
    n = len(whole)
    cut = tuple(
        e
        for part in (range(n // 3), range(n // 3, n))
        for e in BY_NAME[name].make("train", part, corpus)
    )
    assert cut == whole


@pytest.mark.parametrize("name", BY_NAME)
def test_a_missing_source_says_how_to_obtain_it(tmp_path, name):
    with pytest.raises(ValueError, match=f"{name}: .*get_open_corpus.sh"):
        BY_NAME[name].examples_in("train", tmp_path)
    with pytest.raises(ValueError, match=f"{name} needs --source"):
        BY_NAME[name].count("train")
    with pytest.raises(ValueError, match="train, validation, test"):
        BY_NAME[name].count_in_source("dev", tmp_path)


def test_split_shares_are_eight_one_one():
    splits = [common.split_of(f"unit {i}") for i in range(5000)]
    assert abs(splits.count("train") / 5000 - 0.8) < 0.02
    assert abs(splits.count("test") / 5000 - 0.1) < 0.02


def test_names_that_share_marks_by_way_of_others_are_one_unit():
    units = common.linked([("c", ["1"]), ("b", ["1", "2"]), ("a", ["2"]), ("d", ["3"]), ("1", [])])
    assert units == {"a": "a", "b": "a", "c": "a", "d": "d", "1": "1"}


def test_the_first_examples_of_a_split_are_a_fair_sample(corpus):
    first = examples("open_stamps", "test", corpus) + examples("open_stamps", "validation", corpus)
    assert [e.key for e in first] != sorted(e.key for e in first)
    train = examples("open_stamps", "train", corpus)[:12]
    assert len({e.key.split("/")[0] for e in train}) > 1
    pages = [e.metadata["page"] for e in examples("open_lines", "train", corpus)]
    changes = sum(a != b for a, b in itertools.pairwise(pages))
    assert changes < len(pages) // documents.LINE_CROPS + 1  # a page is read once


# Stamps.


def test_stamp_examples_keep_the_original_bytes_and_line_one(corpus):
    found = [e for e in examples("open_stamps", "train", corpus) if e.metadata["kind"] == "caption"]
    folder = corpus / "usr/share/tuxpaint/stamps"
    for example in found:
        image, text = example.segments
        stem = folder / example.key.removesuffix(":caption")
        assert image.data == stem.with_suffix(".png").read_bytes()
        assert text.text == stem.with_suffix(".txt").read_text().splitlines()[0]
        assert text.role == "document"


def test_stamp_kind_is_one_of_four_options(corpus):
    kinds = [e for s, e in every("open_stamps", corpus) if e.metadata["kind"] == "kind"]
    assert kinds
    for example in kinds:
        category = example.key.split("/")[0].replace("naturalforces", "natural forces")
        options = example.metadata["choices"]
        assert len(set(options)) == 4
        assert options["ABCD".index(example.metadata["answer"])] == category


def test_a_mirrored_stamp_has_its_twins_caption_and_split(tmp_path):
    folder = tmp_path / "usr/share/tuxpaint/stamps/animals"
    for letter in "abcdefghijklmnopqrstuvwxyz":
        fixtures.write(folder / f"{letter}.png", fixtures.png(colour=(ord(letter), 0, 0, 255)))
        fixtures.write(folder / f"{letter}_mirror.png", fixtures.png((9, 9), (0, ord(letter), 0)))
        fixtures.write(folder / f"{letter}.txt", f"Beast {letter}.\n")
    splits = {}
    for split, example in every("open_stamps", tmp_path):
        splits.setdefault(example.metadata["caption"], set()).add(split)
    assert len(splits) == 26
    assert all(len(s) == 1 for s in splits.values())


def test_unreadable_stamps_are_named(tmp_path, caplog):
    fixtures.add_stamps(tmp_path)
    folder = tmp_path / "usr/share/tuxpaint/stamps/food"
    fixtures.write(folder / "latin.png", fixtures.png())
    fixtures.write(folder / "latin.txt", "Cr\u00e8me.".encode("latin-1"))
    for i in range(20):  # enough for one to be in train
        fixtures.write(folder / f"cut{chr(97 + i)}.png", fixtures.png((90, 90))[: -40 - i])
        fixtures.write(folder / f"cut{chr(97 + i)}.txt", "Broken.")
    items = common_items("open_stamps", tmp_path)
    assert "food/latin.txt holds no English caption" in caplog.text
    bad = next(i for i, key in enumerate(items) if key.startswith("food/cut"))
    with pytest.raises(common.DataError, match=r"open_stamps food/cut.*stamps/food/cut.\.png"):
        next(BY_NAME["open_stamps"].make("train", range(bad, bad + 1), tmp_path))


def common_items(name, source):
    """Keys of the train split, also of those that cannot be built."""
    keys = []
    for i in range(BY_NAME[name].examples_in("train", source)):
        try:
            keys += [e.key for e in BY_NAME[name].make("train", range(i, i + 1), source)]
        except common.DataError as error:
            keys.append(str(error).split()[1].rstrip(","))
    return keys


# Pictures.


def test_a_large_picture_is_encoded_anew_within_the_limits(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (900, 3000, 3), dtype=np.uint8)
    path = tmp_path / "large.png"
    PIL.Image.fromarray(noise).save(path)
    image = common.read_image(path)
    assert (image.height, image.width) == (614, 2048)
    assert image.data[:2] == b"\xff\xd8"


def test_a_rotated_photo_has_its_upright_size_and_its_own_bytes(tmp_path):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "photo.jpg"
    PIL.Image.new("RGB", (40, 20)).save(path, exif=exif)
    image = common.read_image(path)
    assert (image.height, image.width) == (40, 20)
    assert image.data == path.read_bytes()


def test_paths_do_not_lead_out_of_their_folder(tmp_path):
    fixtures.write(tmp_path / "secret.png", fixtures.png())
    (tmp_path / "in").mkdir()
    (tmp_path / "in/link.png").symlink_to(tmp_path / "secret.png")
    for path in ("../secret.png", "link.png", str(tmp_path / "secret.png")):
        with pytest.raises(common.DataError, match="leads out"):
            common.inside(tmp_path / "in", path)


# Maps.


def test_map_boxes_and_points_are_the_regions_own(corpus):
    boxes = {name: box for name, _, _, box, _ in fixtures.REGIONS}
    asked = set()
    for split, example in every("open_maps", corpus):
        region = example.metadata["region"]
        asked.add(region)
        assert tuple(example.metadata["box"]) == boxes[region]
        x, y = example.metadata["point"]
        x1, y1, x2, y2 = boxes[region]
        assert x1 <= x < x2 and y1 <= y < y2
        if split == "train":
            text = answer_of(example)
            for found in parse_boxes(text, width=60, height=40):
                assert np.abs(np.array(found) - boxes[region]).max() < 0.1
            for fx, fy in parse_points(text, width=60, height=40):
                assert x1 <= fx < x2 and y1 <= fy < y2
    # Frontier and water are drawn only; Ceuta is too small to ask for.
    assert asked == {"Aragon", "Castile & Leon", "La Rioja"}


def test_the_inner_point_of_a_ring_is_in_the_ring(tmp_path):
    pixels = np.zeros((41, 41, 3), np.uint8)
    y, x = np.mgrid[:41, :41] - 20
    radius = np.hypot(x, y)
    pixels[(radius < 18) & (radius > 8)] = (9, 8, 7)
    PIL.Image.fromarray(pixels).save(tmp_path / "ring.png")
    place = kgm.place_of(tmp_path / "ring.png", (9, 8, 7))
    px, py = place.point
    assert tuple(pixels[py, px]) == (9, 8, 7)
    assert place.box == (3, 3, 38, 38)


def test_regions_by_colour_name_their_colour(corpus):
    names = {"Aragon": "red", "Castile & Leon": "blue", "La Rioja": "green"}
    found = [e for _, e in every("open_regions", corpus)]
    assert {e.metadata["kind"] for e in found} == {"where", "colour"}
    for example in found:
        region = example.key.split("/")[1].split(":")[0]
        question = next(s.text for s in example.segments if isinstance(s, Text))
        colour = answer_of(example) if example.metadata["kind"] == "colour" else question.split()[3]
        assert colour == names[region]


def test_colours_that_people_would_argue_about_have_no_name():
    assert maps.colour_name((255, 0, 0)) == "red"
    assert maps.colour_name((130, 70, 20)) == "brown"
    assert maps.colour_name((128, 128, 128)) == "gray"
    assert maps.colour_name((0, 255, 160)) is None
    assert maps.colour_name((235, 235, 230)) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<map><name>X</name>", "not a map"),
        ("<map><name>X</name><mapFile>../../../../secret.png</mapFile></map>", "leads out"),
        ("<map><name>X</name><mapFile>none.png</mapFile></map>", "no file"),
        ('<!DOCTYPE m [<!ENTITY a "b">]><map><name>&a;</name></map>', "entities"),
        ("<map><mapFile>landa.png</mapFile></map>", "no <name>"),
    ],
)
def test_a_broken_map_is_named_and_left_out(tmp_path, caplog, text, message):
    fixtures.add_map(tmp_path, "landa", "Land")
    fixtures.write(tmp_path / "secret.png", fixtures.png())
    fixtures.write(tmp_path / "usr/share/kgeography/bad.kgm", text)
    total = sum(BY_NAME["open_maps"].examples_in(s, tmp_path) for s in common.SPLITS)
    assert total in (3, 6)
    assert "kgeography/bad.kgm" in caplog.text
    assert message in caplog.text


def test_maps_of_one_country_are_one_unit(tmp_path):
    for key in ("france", "france_regions", "spain"):
        fixtures.add_map(tmp_path, key, key, regions=fixtures.REGIONS[: len(key) // 2 + 2])
    units = kgm.map_keys(tmp_path / kgm.FOLDER)
    assert units["france"] == units["france_regions"]


def test_a_fact_that_two_maps_tell_is_asked_for_once(corpus):
    opened = [e for _, e in every("open_capitals", corpus) if e.metadata["kind"] == "open"]
    assert sorted(answer_of(e) for e in opened) == ["Logroño", "Valladolid", "Zaragoza"]
    flags = [e for _, e in every("open_flags", corpus)]
    assert len(flags) == 3  # the same three files lie in two folders


# Documents.


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
    total = sum(BY_NAME["open_paragraphs"].examples_in(s, tmp_path) for s in common.SPLITS)
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
