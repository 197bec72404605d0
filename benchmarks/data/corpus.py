"""One small corpus in the format that each loader reads: the same pictures, the same texts.

Three of four examples are photographs of 640 x 480 pixels with a question and an answer, one is an
A4 page of 150 dpi with more text.
"""

from __future__ import annotations

import functools
import io
import json
import pathlib
import tarfile
from collections.abc import Iterator

import numpy as np
import pictures

from mm15_jax.config.schema import SplittingConfig
from mm15_jax.inputs.image_splitting import plan_tiling
from mm15_jax.inputs.tiles import image_size, load_tiles
from mm15_jax.inputs.tokenizer import load_tokenizer

RESOLUTION = 378
SPLITTING = SplittingConfig(mode="static", static_grid=(2, 2))
TOKENIZER = "nano"
_SHARD = 50  # examples a tar
_DIFFERENT = 40  # pictures that are made; examples share them


def examples(count: int) -> Iterator[tuple[str, bytes, str, str]]:
    """(key, JPEG, question, answer)."""
    made: dict[int, bytes] = {}
    for i in range(count):
        number = i % _DIFFERENT
        page = number % 4 == 3
        if number not in made:
            made[number] = pictures.page(150, i) if page else pictures.photo(480, 640, i)
        words = " ".join(f"word{(i * 7 + k) % 97}" for k in range(120 if page else 40))
        yield f"{i:06d}", made[number], f"What does picture {i} show?", words


@functools.cache
def _tokenizer():
    return load_tokenizer(TOKENIZER)


def decoded(jpeg: bytes, question: str, answer: str, codec: str) -> tuple[np.ndarray, np.ndarray]:
    """The work that is the same for all loaders: int32[tokens], uint8[5, r, r, 3]."""
    height, width = image_size(jpeg)
    tiling = plan_tiling(
        height, width, resolution=RESOLUTION, splitting=SPLITTING, images_in_example=1
    )
    load = load_tiles if codec == "ours" else pictures.pillow_tiles
    tokenizer = _tokenizer()
    ids = [*tokenizer.encode(question), *tokenizer.encode(answer), tokenizer.eos_id]
    return np.array(ids, np.int32), load(jpeg, tiling)


def write_folder(folder: pathlib.Path, count: int) -> None:
    """JPEG files and records.json, for a map-style data set."""
    folder.mkdir(parents=True)
    records = []
    for key, jpeg, question, answer in examples(count):
        (folder / f"{key}.jpg").write_bytes(jpeg)
        records.append({"image": f"{key}.jpg", "question": question, "answer": answer})
    (folder / "records.json").write_text(json.dumps(records))


def write_tars(folder: pathlib.Path, count: int) -> None:
    """Tars of webdataset: KEY.jpg and KEY.json."""
    folder.mkdir(parents=True)
    rows = list(examples(count))
    for start in range(0, count, _SHARD):
        with tarfile.open(folder / f"shard-{start // _SHARD:05d}.tar", "w") as tar:
            for key, jpeg, question, answer in rows[start : start + _SHARD]:
                text = json.dumps({"question": question, "answer": answer}).encode()
                for suffix, data in (("jpg", jpeg), ("json", text)):
                    info = tarfile.TarInfo(f"{key}.{suffix}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
