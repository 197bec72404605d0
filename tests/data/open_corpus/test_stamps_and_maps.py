from __future__ import annotations

import re

import numpy as np
import PIL.Image
import pytest

from mm15_jax.data.open_corpus import common, kgm, maps
from mm15_jax.data.preparation import BadRecord, DataError
from mm15_jax.inputs.coordinates import parse_boxes, parse_points
from mm15_jax.inputs.example import Text
from tests.data.open_corpus import corpus_fixtures as fixtures
from tests.data.open_corpus.read_corpus import (
    answer_of,
    converted,
    count,
    every,
    examples,
)


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
    made = converted("open_stamps", "train", tmp_path)
    assert "food/latin.txt holds no English caption" in caplog.text
    bad = [record for record in made if isinstance(record, BadRecord)]
    assert 0 < len(bad) < len(made)
    for record in bad:
        assert re.match(r"food/cut(.):\w+ \(from .*stamps/food/cut\1\.png\)", record.key)
        assert "is not a readable picture" in record.reason


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
        with pytest.raises(DataError, match="leads out"):
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
    total = count("open_maps", tmp_path)
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
