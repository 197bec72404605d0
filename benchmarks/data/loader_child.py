"""One loader in a process of its own, for loaders.py: prints START, then END and its examples.

Usage: python loader_child.py LOADER CODEC FOLDER SECONDS

Imports a peer's library in the peer's environment and ours in ours. Two workers or threads each.
"""

from __future__ import annotations

import json
import pathlib
import sys
import time
import types
from collections.abc import Iterator

import corpus

WORKERS = 2
BATCH = 8
WARM_UP = 48  # examples before START: workers are up, caches of resizing filters are filled


def _collated(samples: list):
    """Tokens as a list, tiles as one tensor, which workers hand over in shared memory."""
    import numpy as np
    import torch

    return [tokens for tokens, _ in samples], torch.from_numpy(
        np.concatenate([tiles for _, tiles in samples])
    )


def _batches(loader) -> Iterator[int]:
    while True:
        for tokens, _ in loader:
            yield len(tokens)


def torch_loader(folder: pathlib.Path, codec: str) -> Iterator[int]:
    """Torch's DataLoader over a map-style data set of files."""
    import torch.utils.data

    class Files(torch.utils.data.Dataset):
        def __init__(self):
            self.records = json.loads((folder / "records.json").read_text())

        def __len__(self):
            return len(self.records)

        def __getitem__(self, index):
            record = self.records[index]
            jpeg = (folder / record["image"]).read_bytes()
            return corpus.decoded(jpeg, record["question"], record["answer"], codec)

    return _batches(
        torch.utils.data.DataLoader(
            Files(),
            batch_size=BATCH,
            shuffle=True,
            num_workers=WORKERS,
            collate_fn=_collated,
            persistent_workers=True,
        )
    )


def webdataset_loader(folder: pathlib.Path, codec: str) -> Iterator[int]:
    """Webdataset over tars."""
    import webdataset

    def work(sample):
        text = json.loads(sample["json"])
        return corpus.decoded(sample["jpg"], text["question"], text["answer"], codec)

    tars = sorted(str(path) for path in folder.glob("*.tar"))
    dataset = (
        webdataset.WebDataset(tars, shardshuffle=len(tars))
        .shuffle(100)
        .map(work)
        .batched(BATCH, collation_fn=_collated)
    )
    return _batches(
        webdataset.WebLoader(dataset, batch_size=None, num_workers=WORKERS, persistent_workers=True)
    )


def _do_without_torchvision() -> None:
    """No build of it fits a torch for the CPU; streaming wants it for data sets of its own."""
    import transformers.feature_extraction_utils  # noqa: F401 (looks for torchvision as well)

    for name, attribute in (("datasets", "VisionDataset"), ("transforms.functional", "to_tensor")):
        module = types.ModuleType(f"torchvision.{name}")
        setattr(module, attribute, type(attribute, (), {}))
        sys.modules[module.__name__] = module
    for name in ("torchvision", "torchvision.transforms"):
        sys.modules[name] = types.ModuleType(name)


def streaming_loader(folder: pathlib.Path, codec: str) -> Iterator[int]:
    """mosaicml-streaming over MDS shards, written first."""
    _do_without_torchvision()
    import streaming
    import torch.utils.data

    columns = {"jpeg": "bytes", "question": "str", "answer": "str"}
    shards = folder / "mds"
    if not shards.exists():
        records = json.loads((folder / "records.json").read_text())
        with streaming.MDSWriter(out=str(shards), columns=columns) as writer:
            for record in records:
                jpeg = (folder / record["image"]).read_bytes()
                texts = {name: record[name] for name in ("question", "answer")}
                writer.write({"jpeg": jpeg, **texts})
    streaming.base.util.clean_stale_shared_memory()

    class Work(streaming.StreamingDataset):
        def __getitem__(self, index):
            sample = super().__getitem__(index)
            return corpus.decoded(sample["jpeg"], sample["question"], sample["answer"], codec)

    dataset = Work(local=str(shards), shuffle=True, batch_size=BATCH)
    return _batches(
        torch.utils.data.DataLoader(
            dataset,
            batch_size=BATCH,
            num_workers=WORKERS,
            collate_fn=_collated,
            persistent_workers=True,
        )
    )


def energon_loader(folder: pathlib.Path, codec: str) -> Iterator[int]:
    """Megatron-Energon over the tars, prepared first by its own command."""
    import subprocess

    from megatron import energon

    if not (folder / ".nv-meta").exists():
        command = [str(pathlib.Path(sys.executable).with_name("energon")), "prepare", str(folder)]
        options = ["--non-interactive", "--split-ratio", "1,0,0"]
        options += ["--sample-type", "CrudeWebdataset"]
        subprocess.run([*command, *options], check=True, stdout=sys.stderr)

    @energon.stateless
    def cook(sample: dict):
        text = sample["json"]
        text = text if isinstance(text, dict) else json.loads(text)
        return corpus.decoded(sample["jpg"], text["question"], text["answer"], codec)

    class Work(energon.DefaultTaskEncoder):
        decoder = None
        cookers = [energon.Cooker(cook)]  # noqa: RUF012 (Energon's interface)

        def batch(self, samples):
            return _collated(samples)

    dataset = energon.get_train_dataset(
        str(folder),
        batch_size=BATCH,
        shuffle_buffer_size=100,
        max_samples_per_sequence=100,
        task_encoder=Work(),
        worker_config=energon.WorkerConfig.default_worker_config(num_workers=WORKERS),
    )
    return _batches(energon.get_loader(dataset))


def our_loader(folder: pathlib.Path, codec: str) -> Iterator[int]:
    """Our pipeline: planned, packed, and laid into the arrays of a batch; records written first."""
    from mm15_jax.config import load, replace_nested
    from mm15_jax.data.pipeline import Pipeline
    from mm15_jax.data.planning import count_dataset, make_plan
    from mm15_jax.data.records import write_dataset
    from mm15_jax.inputs import rendering
    from mm15_jax.inputs.example import Example, Image, Text

    if codec != "ours":
        rendering.load_tiles = corpus.pictures.pillow_tiles
    if not (folder / "prepared").exists():
        made = []
        for key, jpeg, question, answer in corpus.examples(
            len(json.loads((folder / "records.json").read_text()))
        ):
            height, width = corpus.image_size(jpeg)
            texts = Text(question, role="user"), Text(answer, role="assistant", loss=True)
            segments = (Image(jpeg, height, width, role="user"), *texts)
            made.append(Example(segments, "prepared", key, "general", {}))
        write_dataset(folder / "prepared" / "train", made, shards=4)
    config = replace_nested(
        load("mm15_3b_sft"),
        {
            "model.encoder.resolution": corpus.RESOLUTION,
            "inputs.tokenizer": corpus.TOKENIZER,
            "inputs.splitting": corpus.SPLITTING,
            "inputs.tiles_per_row": 25,
            "data.decode_threads": WORKERS,
            "data.window": 256,
            "data.prefetch": 2,
        },
    )
    counted = count_dataset("prepared", folder, config)
    batches = Pipeline(
        make_plan({"prepared": 1.0}, {"prepared": counted}, config),
        [counted.dataset],
        config.inputs,
        config.data,
        rows=2,
        tokens_per_tile=config.model.connector.tokens,
        resolution=corpus.RESOLUTION,
    )
    return (stats.examples for _, stats, _ in batches)


LOADERS = {
    "ours": our_loader,
    "torch": torch_loader,
    "webdataset": webdataset_loader,
    "streaming": streaming_loader,
    "energon": energon_loader,
}


def main() -> None:
    """Runs one loader for a while."""
    name, codec, folder, seconds = sys.argv[1:]
    counts = LOADERS[name](pathlib.Path(folder), codec)
    warm = 0
    while warm < WARM_UP:
        warm += next(counts)
    print("START", flush=True)
    sys.stdin.readline()
    done, stop = 0, time.monotonic() + float(seconds)
    while time.monotonic() < stop:
        done += next(counts)
    print("END", done, flush=True)
    sys.stdin.readline()  # the parent reads our clocks; it ends us


if __name__ == "__main__":
    main()
