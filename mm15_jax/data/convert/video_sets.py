"""Instructions about clips: ShareGPTVideo, VideoChat2's, and ActivityNet-QA (section 5).

Formats: ShareGPTVideo as LLaVA-Hound's train.py reads it (lines of `{id, video, conversations}`, a
folder of frames a clip, two a second: its `decode2frame`); VideoChat2-IT as `it_dataset_mistral.py`
of Ask-Anything reads it (arrays of `{video, QA: [{i, q, a}], start, end}`); ActivityNet-QA as its
README says (`*_q.json` and `*_a.json`). Prompts of ActivityNet-QA: lmms-eval's `activitynetqa`.
"""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Sequence
from typing import Any

from mm15_jax.data.convert import prompts
from mm15_jax.data.convert.dialogue import Turn, text_segments, turns_of
from mm15_jax.data.convert.json_files import load_json
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import (
    file_preparation,
    in_memory,
    json_array,
    json_lines,
    placed,
)
from mm15_jax.data.convert.video_files import read_video
from mm15_jax.data.preparation import DataError, Preparation
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example, Segment, Video

_FRAME_SECONDS = 0.5  # of ShareGPTVideo's folders
_RECORDS = 128  # of a part: each has a clip
_LINE_BYTES = 2**17  # of a part of lines, for as many
_PLACEHOLDER = re.compile("<(?:video|image|vid_start|vid_patch|vid_end)>")
DESCRIBE = "Describe the video."  # where VideoChat2 has an answer without a question

# Where VideoChat2's clips are, by the folder of their annotation: the ends of the paths of
# video_chat2/configs/instruction_data.py.
_FOLDERS = {
    "caption/textvr": "TextVR/Video",
    "caption/videochat": "WebVid10M",
    "caption/webvid": "WebVid2M",
    "caption/youcook2": "youcook2/split_videos",
    "caption/s_mit": "S-MiT",
    "classification/k710": "k710",
    "classification/ssv2": "ssv2_video",
    "conversation/videochat1": "WebVid10M",
    "conversation/videochat2": "internvid",
    "conversation/videochatgpt": "ANet/ANet_320p_fps30",
    "reasoning/next_qa": "nextqa",
    "reasoning/clevrer_qa": "clevrer/video_train",
    "reasoning/clevrer_mc": "clevrer/video_train",
    "vqa/ego_qa": "EgoQA/split_videos",
    "vqa/tgif_frame_qa": "tgif",
    "vqa/tgif_transition_qa": "tgif",
    "vqa/webvid_qa": "WebVid2M",
}


CLIP_LINES = json_lines(_LINE_BYTES)  # about a clip each


def _clip_first(clip: Video, turns: Sequence[Turn]) -> tuple[Segment, ...]:
    """The clip, then the turns without their placeholders, which say no more than that."""
    clean = []
    for role, text in turns:
        words = _PLACEHOLDER.sub("", text).strip()
        if not words:
            raise DataError(f"a turn of the {role} without words")
        clean.append((role, words))
    return clip, *text_segments(clean)


def frame_folder(maker: Maker, folders: Sequence[str], name: str) -> Video:
    """A clip of ShareGPTVideo's or LLaVA-Hound's: a folder of frames, two a second."""
    # Some annotations have the path of their author's disk.
    last = posixpath.basename(name.rstrip("/"))
    tried = [f"{folder}/{part}" for folder in folders for part in dict.fromkeys((name, last))]
    inside = [place for place in tried if not posixpath.isabs(place) and "//" not in place]
    return read_video(maker.source, inside, seconds_a_frame=_FRAME_SECONDS)


def _sharegptvideo(maker: Maker, record: dict[str, Any]) -> Example:
    turns = turns_of(record)
    clip = frame_folder(maker, ("train_300k", "video_data/train", "train"), record["video"])
    kind = "qa" if len(turns) > 2 or "?" in turns[0][1] else "caption"
    identity = record.get("id") or prompts.digest(turns[0][1] + turns[1][1])
    key = f"{posixpath.basename(record['video'])}/{identity}/{prompts.digest(turns[0][1])}"
    return Example(_clip_first(clip, turns), maker.name, key, maker.category, {"kind": kind})


def _videochat2(maker: Maker, item: tuple[str, dict[str, Any]]) -> Example:
    place, record = item
    folder = posixpath.dirname(place)
    name, named = record["video"], "/".join(folder.split("/")[-2:])
    if named not in _FOLDERS:
        raise DataError(f"the folder {folder!r} is none of VideoChat2's: {', '.join(_FOLDERS)}")
    start, end = record.get("start"), record.get("end")
    excerpt = None if start is None or end is None else (float(start), float(end))
    clip = maker.video(
        f"videos/{_FOLDERS[named]}/{name}",
        f"{_FOLDERS[named]}/{name}",
        f"{folder}/{name}",
        excerpt=excerpt,
    )
    turns: list[Turn] = []
    for number, pair in enumerate(record["QA"]):
        question, answer = (pair.get("q") or "").strip(), (pair.get("a") or "").strip()
        instruction = (pair.get("i") or "").strip() if number == 0 else ""
        asked = "\n".join(filter(None, (instruction, question))) or DESCRIBE
        if not answer:
            raise DataError(f"question {number} has no answer")
        turns += [("user", asked), ("assistant", answer)]
    if not turns:
        raise DataError("a record without questions")
    task = posixpath.basename(folder)
    key = f"{task}/{place.rpartition('@')[2]}/{name}"
    return Example(_clip_first(clip, turns), maker.name, key, maker.category, {"kind": task})


def asked(question: str) -> str:
    """A question of ActivityNet-QA, published in small letters without its mark."""
    return f"{question.strip().capitalize().rstrip('?')}?"


@functools.lru_cache(maxsize=2)
def _activitynet_rows(source: Source, files: tuple[str, ...]) -> list[tuple[str, Any]]:
    """(question_id, question and answer) of a file of either."""
    questions, answers = files
    found = {record["question_id"]: record for record in load_json(source, answers)}
    rows: list[tuple[str, Any]] = []
    for record in load_json(source, questions):
        identity = record["question_id"]
        if identity in found:
            rows.append((identity, {**record, **found[identity]}))
        else:
            rows.append((identity, DataError(f"{answers} has no answer to {identity!r}")))
    return rows


def _activitynet_qa(maker: Maker, record: dict[str, Any]) -> Example:
    name, question = record["video_name"], asked(record["question"])
    clip = maker.video(
        *(f"{folder}/v_{name}" for folder in ("all_test", "videos", "train", "test")), f"v_{name}"
    )
    return maker.short(
        record["question_id"],
        clip,
        question,
        record["answer"],
        "judge",
        kind=str(record["type"]),
        judge={"question": question},
    )


_SEE = "videos: see the publishers"
PREPARATIONS: tuple[Preparation, ...] = (
    file_preparation(
        name="sharegptvideo",
        category="video",
        description="ShareGPTVideo: captions by GPT-4V of 300k clips, and questions on them.",
        licence=f"Apache 2.0; {_SEE}",
        format="sharegptvideo",
        layout="video_instruction/train/sft/video_caption_300k.jsonl and "
        "video_240k_caption_15k.jsonl, train_300k/CLIP/*.jpeg (chunks unpacked; or "
        "video_data/train/)",
        files={
            "train": tuple(
                f"video_instruction/train/sft/{name}|sft/{name}|{name}"
                for name in ("video_caption_300k.jsonl", "video_240k_caption_15k.jsonl")
            )
        },
        reading=CLIP_LINES,
        example=_sharegptvideo,
    ),
    file_preparation(
        name="videochat2",
        category="video",
        description="VideoChat2-IT: instructions about clips of a dozen data sets.",
        licence=f"MIT; {_SEE}",
        format="videochat2",
        layout="video/TASK/SET/train*.json of OpenGVLab/VideoChat2-IT, those that are wanted, and "
        "videos/ with the folders of video_chat2/configs/instruction_data.py: TextVR/Video/, "
        "WebVid2M/, WebVid10M/, youcook2/split_videos/, k710/, ssv2_video/, internvid/, "
        "ANet/ANet_320p_fps30/, nextqa/, clevrer/video_train/, EgoQA/split_videos/, tgif/",
        files={"train": ("video/*/*/train*.json",)},
        reading=placed(json_array(per_part=_RECORDS)),
        example=_videochat2,
    ),
    file_preparation(
        name="activitynet_qa",
        category="video",
        description="ActivityNet-QA: questions of people about clips of everyday activities.",
        licence=f"Apache 2.0; {_SEE}",
        format="activitynet_qa",
        layout="dataset/{train,val,test}_q.json and _a.json (or without dataset/), and videos/ "
        "(or all_test/) with v_VIDEO.mp4, .webm or .mkv",
        files={
            split: tuple(f"dataset/{name}_{what}.json|{name}_{what}.json" for what in "qa")
            for split, name in (("train", "train"), ("validation", "val"), ("test", "test"))
        },
        reading=in_memory(_activitynet_rows, _RECORDS),
        together=True,
        example=_activitynet_qa,
    ),
)
