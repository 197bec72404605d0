"""Documents and pairs of the web, and documents to be read."""

import io

import PIL.Image
import pyarrow
import pytest

from mm15_jax.data.convert import document_tars, page_pictures
from mm15_jax.data.preparation import DataError
from mm15_jax.inputs.example import Image, Text
from tests.data.convert.converted import convert, turns
from tests.data.convert.fixtures.web_sets import FIXTURES, URLS, obelics_tables, parquet, pdf_bytes
from tests.data.convert.pictures import picture, write
from tests.data.convert.tars import tar

MODULES = {
    "obelics": "interleaved",
    "mmc4": "interleaved",
    "image_text_pairs": "image_text_pairs",
    "pdfa": "document_tars",
    "idl": "document_tars",
    "renderedtext": "document_tars",
    "docstruct4m": "docstruct4m",
}


@pytest.mark.parametrize("name", FIXTURES)
def test_counts(tmp_path, name):
    fixture = FIXTURES[name]
    fixture.make(tmp_path)
    for split, count in fixture.records.items():
        good, bad = convert(MODULES[name], name, split, tmp_path)
        assert (len(good), len(bad)) == (count, fixture.bad.get(split, 0)), (split, bad)


def shades(example):
    """Each picture's shade in tens, each text; all are a document's, and texts are trained on."""
    found = []
    for segment in example.segments:
        assert segment.role == "document"
        if isinstance(segment, Image):
            with PIL.Image.open(io.BytesIO(segment.data)) as opened:
                found.append(round(opened.convert("RGB").getpixel((5, 5))[0] / 10))
        else:
            assert isinstance(segment, Text) and segment.loss
            found.append(segment.text)
    return found


def test_obelics_keeps_the_order_of_texts_and_pictures(tmp_path):
    FIXTURES["obelics"].make(tmp_path)
    good, bad = convert("interleaved", "obelics", "train", tmp_path)
    file = "data/train-00000-of-01335.parquet"
    assert list(good) == [f"{file}#0", f"{file}#1"]
    first, second = good.values()
    assert shades(first) == [0, "First \n\nparagraph.", 1, "Second."]
    assert shades(second) == ["One.\n\nTwo.\n\nThree.", 2]
    assert second.metadata == {"absent_pictures": 1}
    reasons = [bad[f"{file}#{n}"] for n in (2, 3, 4)]
    for reason, said in zip(
        reasons, ("without pictures: 1", "without text", "neither"), strict=True
    ):
        assert said in reason


def test_obelics_begins_a_document_where_the_topic_shifts(tmp_path):
    FIXTURES["obelics"].make(tmp_path)
    (tmp_path / "data/train-00000-of-01335.parquet").unlink()
    mark, file = "END_OF_DOCUMENT_TOKEN_TO_BE_REPLACED", "data/train-0.parquet"
    parquet(
        tmp_path / file,
        images=[[URLS[0], None, URLS[5], URLS[1], None], [None, URLS[5]], [URLS[0], None]],
        texts=[
            [None, f"A.\n\n{mark}\n\nNo picture.{mark}{mark}B.", None, None, "C."],
            [f"D.{mark}", None],
            [None, f"{mark}E."],
        ],
    )
    good, bad = convert("interleaved", "obelics", "train", tmp_path)
    assert {key: shades(example) for key, example in good.items()} == {
        f"{file}#0:0": [0, "A."],
        f"{file}#0:3": ["B.", 1, "C."],
    }
    assert good[f"{file}#0:3"].metadata == {"absent_pictures": 1}
    assert bad == {
        f"{file}#1": "2 topics, none of them of use: a document without pictures: 0 of them are "
        "absent",
        f"{file}#2": "2 topics, none of them of use: a document without text",
    }


def test_obelics_finds_pictures_in_what_img2dataset_wrote(tmp_path):
    obelics_tables(tmp_path)
    parquet(
        tmp_path / "images/00003.parquet",
        url=[URLS[1], URLS[0], URLS[2]],
        key=pyarrow.array(["000030000", "000030001", "000030002"]),
        status=["success", "success", "failed_to_download"],
    )
    write(tmp_path / "images/00003/000030000.png", picture(shade=110, kind="PNG"))
    write(tmp_path / "images/00003/000030001.jpg", picture(shade=100))
    good, _ = convert("interleaved", "obelics", "train", tmp_path)
    (first,) = good.values()
    assert shades(first)[::2] == [10, 11]


def test_obelics_without_opted_out_documents_is_preferred(tmp_path):
    FIXTURES["obelics"].make(tmp_path)
    folder = tmp_path / "opt_out_docs_removed_2023_07_12"
    (tmp_path / "data").rename(folder)
    obelics_tables(tmp_path)
    good, _ = convert("interleaved", "obelics", "train", tmp_path)
    assert {key.partition("/")[0] for key in good} == {folder.name}


def test_mmc4_places_pictures_before_the_sentence_they_match(tmp_path):
    FIXTURES["mmc4"].make(tmp_path)
    good, bad = convert("interleaved", "mmc4", "train", tmp_path)
    shard = "docs_no_face_shard_0_v2.jsonl.zip:docs_no_face_shard_0_v2.jsonl"
    assert list(good) == [f"{shard}#0", "docs_no_face_shard_1_v3.jsonl@0"]
    first = good[f"{shard}#0"]
    assert shades(first) == [0, "One. Two.", 1, "Three."]  # low.jpg is not similar enough
    assert first.metadata == {"absent_pictures": 1}
    assert "sentence 3; there are 1" in bad[f"{shard}#2"]
    assert "not JSON" in bad[f"{shard}#3"]


def test_pairs_take_the_caption_of_the_text_then_of_the_json(tmp_path):
    FIXTURES["image_text_pairs"].make(tmp_path)
    good, bad = convert("image_text_pairs", "image_text_pairs", "train", tmp_path)
    assert [e.segments[1].text for e in good.values()] == [
        "A red cup.", "Caption of the json", "In WebP",
    ]  # fmt: skip
    assert list(good)[2] == "more/00001.tar:000010000"
    assert "picture is not readable" in bad["00000.tar:000000002"]
    assert "without a caption" in bad["00000.tar:000000003"]
    assert "without jpg" in bad["00000.tar:000000004"]
    assert "cannot be read behind" in bad["more/00001.tar:000010001"]


def test_pdfa_renders_pages_and_reads_lines_in_order(tmp_path):
    FIXTURES["pdfa"].make(tmp_path)
    good, bad = convert("document_tars", "pdfa", "train", tmp_path)
    key = "pdfa-eng-train-0000.tar:0012345"
    assert list(good) == [f"{key}:1", f"{key}:3", f"{key[:-1]}6:1"]
    page = good[f"{key}:1"]
    image, text = page.segments
    assert text.text == "Hello\nwide world" and page.metadata["page"] == 1
    assert (image.width, image.height) == (1600, 800)
    with PIL.Image.open(io.BytesIO(image.data)) as opened:
        assert opened.mode == "L"  # grey all over
        ink = opened.point(lambda value: value < 128 and 255).getbbox()
    # "Hello" of 18 points at (20, 40) from the bottom left, 8 pixels a point.
    assert 155 < ink[0] < 180 and 440 < ink[3] < 490 and ink[2] < 600
    assert bad[f"{key}:2"] == "a page without text"
    assert "1 pages with a picture, 2 with text" in bad[f"{key[:-1]}6"]
    assert "not a readable PDF" in bad[f"{key[:-1]}7"]


def test_idl_reads_pages_of_a_tiff(tmp_path):
    FIXTURES["idl"].make(tmp_path)
    good, bad = convert("document_tars", "idl", "train", tmp_path)
    key = "idl-train-00000.tar:klpb0135"
    assert list(good) == [f"{key}:1", f"{key}:2"]
    assert shades(good[f"{key}:1"]) == [7, "INTERNAL CORRESPONDENCE\nSECRET"]
    assert shades(good[f"{key}:2"]) == [7, "Page two"]
    assert "pages in its json" in bad["idl-train-00000.tar:abcd0001"]


def test_pages_beyond_the_limit_are_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(document_tars, "MOST_PAGES", 2)
    pages = [{"text": [f"page {number}"]} for number in range(5)]
    sample = {"json": {"pages": pages}, "tif": picture(kind="TIFF", pages=5)}
    write(tmp_path / "idl-train-00000.tar", tar([("d", sample)]))
    good, bad = convert("document_tars", "idl", "train", tmp_path)
    assert list(good) == ["idl-train-00000.tar:d:1", "idl-train-00000.tar:d:2"]
    assert bad == {"idl-train-00000.tar:d:3-5": "3 pages of a document beyond 2 are left out"}


def test_rendered_text_reads_all_lines(tmp_path):
    FIXTURES["renderedtext"].make(tmp_path)
    good, bad = convert("document_tars", "renderedtext", "train", tmp_path)
    assert [e.segments[1].text for e in good.values()] == ["Dear Joe,\ncome home.", "Bye"]
    assert "ocr_annotation.text" in bad["000000.tar:000001"]


def test_docstruct_leaves_localisation_out(tmp_path):
    FIXTURES["docstruct4m"].make(tmp_path)
    good, bad = convert("docstruct4m", "docstruct4m", "train", tmp_path)
    assert [turns(example) for example in good.values()] == [
        [("Recognize text in the image.", "<doc> Hi\n there </doc>")],
        [("Turn this into Markdown.", "<md> | a | </md>")],
    ]
    assert sorted("JSON" in reason for reason in bad.values()) == [False, True]
    good, _ = convert("docstruct4m", "docstruct4m", "validation", tmp_path)
    (example,) = good.values()
    assert turns(example) == [("Parse.", "<doc> val </doc>")]
    assert example.metadata == {"answer": "<doc> val </doc>", "metric": "anls"}


def test_bilevel_pages_stay_exact_and_large_ones_are_reduced():
    stream = io.BytesIO()
    PIL.Image.new("1", (30, 40), 1).save(stream, "TIFF", compression="group4")
    page = page_pictures.TiffPages(stream.getvalue()).page(0)
    assert page.data.startswith(b"\x89PNG") and (page.width, page.height) == (30, 40)
    stream = io.BytesIO()
    PIL.Image.new("1", (2480, 3200), 1).save(stream, "TIFF", compression="group4")
    page = page_pictures.TiffPages(stream.getvalue()).page(0)
    assert page.data.startswith(b"\xff\xd8") and (page.width, page.height) == (1240, 1600)


def test_a_page_of_sixteen_bits_or_behind_the_end_is_refused():
    stream = io.BytesIO()
    PIL.Image.new("I;16", (4, 4)).save(stream, "TIFF")
    pages = page_pictures.TiffPages(stream.getvalue())
    with pytest.raises(DataError, match="pixel format I;16"):
        pages.page(0)
    with pytest.raises(DataError, match="page 2 is not readable"):
        pages.page(1)


def test_pages_need_pdfium_and_say_so(tmp_path, monkeypatch):
    FIXTURES["pdfa"].make(tmp_path)
    monkeypatch.setattr(page_pictures.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="need pypdfium2; install it with"):
        convert("document_tars", "pdfa", "train", tmp_path)


def test_a_page_that_a_pdf_does_not_have_is_told(tmp_path):
    write(tmp_path / "x.pdf", pdf_bytes("one"))
    with pytest.raises(ValueError, match=r"page 2 of x\.pdf is not readable"):
        page_pictures.pdf_page(tmp_path / "x.pdf", 1)
