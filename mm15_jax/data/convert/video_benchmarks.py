"""Benchmarks on clips (tables 10 and 11), in the layouts in which they are published.

Formats: Video-MME's parquet on the Hugging Face hub; EgoSchema's `questions.json` and
`subset_answers.json`; NExT-QA's and IntentQA's CSV; Video-ChatGPT's three files of questions
(`video_chatgpt/eval`); LLaVA-Hound's `*.qa.jsonl` and folders of frames. Prompts are those of
lmms-eval's tasks where it has one; Video-MME's says that the subtitles are not given. IntentQA is
asked as NExT-QA, whose clips it has.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mm15_jax.data.convert import csv_files
from mm15_jax.data.convert.dialogue import turns_of
from mm15_jax.data.convert.json_files import load_json, table_parts
from mm15_jax.data.convert.published import files_of
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import Reading, file_preparation, parquet
from mm15_jax.data.convert.video_sets import CLIP_LINES, frame_folder
from mm15_jax.data.preparation import DataError, Part, Preparation
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example

_RECORDS = 128  # of a part
_CHOICES = ("a0", "a1", "a2", "a3", "a4")
_VIDEOMME = (
    "Select the best answer to the following multiple-choice question based on the video. Respond "
    "with only the letter (A, B, C, or D) of the correct option."
)
_LETTER = re.compile(r"^[A-Z]\.\s*")


def _videomme(maker: Maker, row: dict[str, Any]) -> Example:
    options = [_LETTER.sub("", option) for option in row["options"]]
    return maker.choice(
        row["question_id"],
        maker.video(*(f"{folder}{row['videoID']}" for folder in ("data/", "videos/", ""))),
        f"{_VIDEOMME}\n{row['question']}",
        options,
        "ABCDEFGH".index(row["answer"]),
        subset=row["duration"],
        kind=row["task_type"],
    )


def _egoschema_parts(source: Source, files: Sequence[str]) -> list[Part]:
    (file,) = files
    answers = file.replace("questions.json", "subset_answers.json")
    return table_parts(file, len(load_json(source, answers)), (file, answers), _RECORDS)


def _egoschema_records(source: Source, part: Part) -> Iterator[tuple[str, Any]]:
    """Only the subset has public answers."""
    questions, answers = (load_json(source, file) for file in part.files)
    by_name = {question["q_uid"]: question for question in questions}
    for name in list(answers)[part.start : part.stop]:
        if name in by_name:
            yield name, {**by_name[name], "answer": answers[name]}
        else:
            yield name, DataError(f"{part.files[0]} has no question {name!r}")


def _egoschema(maker: Maker, record: dict[str, Any]) -> Example:
    return maker.choice(
        record["q_uid"],
        maker.video(f"videos/{record['q_uid']}", record["q_uid"]),
        record["question"],
        [record[f"option {i}"] for i in range(5)],
        record["answer"],
    )


def _csv(*columns: str) -> Reading:
    """Rows of CSV files."""

    def parts(source: Source, files: Sequence[str]) -> list[Part]:
        return [
            part
            for file in files
            for part in table_parts(
                file, len(csv_files.load_table(source, file, ",", columns)), (file,), _RECORDS
            )
        ]

    def records(source: Source, part: Part) -> Iterator[tuple[str, Any]]:
        (file,) = part.files
        rows = csv_files.load_table(source, file, ",", columns)[part.start : part.stop]
        for number, row in enumerate(rows, start=part.start):
            yield f"{file}#{number}", row

    return Reading(parts, records)


_VIDOR_MAP = "dataset/nextqa/map_vid_vidorID.json|map_vid_vidorID.json"


@functools.lru_cache(maxsize=2)
def _vidor_paths(source: Source) -> dict[str, str]:
    """Where VidOR has the clips of NExT-QA, whose own archive names them by their numbers."""
    found = files_of(source, (_VIDOR_MAP,))
    return load_json(source, found[0]) if found else {}


def _next_choice(maker: Maker, name: str, row: dict[str, str], **facts: Any) -> Example:
    """A question of NExT-QA or IntentQA, on clips of NExT-QA."""
    places = [f"NExTVideo/{name}", f"videos/{name}"]
    if name in (paths := _vidor_paths(maker.source)):
        places += [f"NExTVideo/{paths[name]}", f"videos/{paths[name]}"]
    return maker.choice(
        f"{name}/{row['qid']}",
        maker.video(*places),
        row["question"],
        [row[column] for column in _CHOICES],
        int(row["answer"]),
        kind=row["type"],
        **facts,
    )


_NEXTQA_GROUPS = {"C": "causal", "T": "temporal", "D": "descriptive"}
_INTENTQA_GROUPS = {"CW": "why", "CH": "how", "TP": "before_after", "TN": "before_after"}


def _nextqa(maker: Maker, row: dict[str, str]) -> Example:
    return _next_choice(maker, row["video"], row, subset=_group(_NEXTQA_GROUPS, row["type"][:1]))


def _intentqa(maker: Maker, row: dict[str, str]) -> Example:
    return _next_choice(maker, row["video_id"], row, subset=_group(_INTENTQA_GROUPS, row["type"]))


def _group(groups: dict[str, str], kind: str) -> str:
    if kind not in groups:
        raise DataError(f"a question of the type {kind!r}; expected one of {', '.join(groups)}")
    return groups[kind]


_GENERAL = ("correctness", "detail", "context")  # all three are judged of the same answers


def _vcgbench_parts(source: Source, files: Sequence[str]) -> list[Part]:
    return [
        part
        for file in files
        for part in table_parts(file, len(load_json(source, file)), (file,), _RECORDS)
    ]


def _vcgbench_records(source: Source, part: Part) -> Iterator[tuple[str, Any]]:
    (file,) = part.files
    kind = file.rpartition("/")[2].removesuffix("_qa.json")
    for number, record in enumerate(load_json(source, file)[part.start : part.stop]):
        yield f"{file}#{part.start + number}", (f"{kind}/{part.start + number}", record)


def _vcgbench(maker: Maker, item: tuple[str, dict[str, Any]]) -> Iterable[Example]:
    place, record = item
    name = record["video_name"]
    clip = maker.video(f"Test_Videos/{name}", f"videos/{name}")
    kind = place.partition("/")[0]
    questions = [record["Q1"], record["Q2"]] if kind == "consistency" else [record["Q"]]
    aspects = list(_GENERAL) if kind == "generic" else [kind]
    group = {"group": place} if len(questions) > 1 else {}
    return [
        maker.example(
            f"{place}/{name}/{number}",
            clip,
            [(question, record["A"])],
            answer=record["A"],
            metric="judge",
            judge={"question": question, "aspects": aspects},
            **group,
        )
        for number, question in enumerate(questions)
    ]


def _llava_hound(folder: str, maker: Maker, record: dict[str, Any]) -> Example:
    (_, question), (_, answer) = turns_of(record)[:2]
    question = re.sub("<(?:video|image)>", "", question).strip()
    caption = record.get("caption")
    if not isinstance(caption, str) or not caption.strip():
        raise DataError("a record without the caption that its judge is given")
    tops = ("video_data/test", "test")
    places = (*(f"{top}/{folder}" for top in tops), folder, *tops)
    return maker.example(
        f"{record['id']}/{record['video'].rpartition('/')[2]}",
        frame_folder(maker, places, record["video"]),
        [(question, answer)],
        answer=answer,
        metric="judge",
        judge={"question": question, "caption": caption.strip()},
    )


_SEE = "videos: see the publishers"
# The publisher's name of each of LLaVA-Hound's seven, and where its clips are from.
LLAVA_HOUND = {
    "activitynet": ("actnet", "ActivityNet, of its training data's kind"),
    "vidal": ("vidal", "VIDAL, of its training data's kind"),
    "webvid": ("webvid", "WebVid, of its training data's kind"),
    "msvd": ("msvd", "MSVD"),
    "msrvtt": ("msrvtt", "MSR-VTT"),
    "tgif": ("tgif", "TGIF"),
    "ssv2": ("ssv2", "Something-Something v2"),
}


def _llava_hound_preparation(name: str, published: str, clips: str) -> Preparation:
    file = f"{published}.qa.jsonl"
    return file_preparation(
        name=f"llava_hound_{name}",
        category="video",
        description=f"LLaVA-Hound's test: questions with long answers on clips of {clips}.",
        licence=f"Apache 2.0; {_SEE}",
        format="llava_hound",
        layout=f"video_instruction/test/{file} of ShareGPTVideo/test_video_and_instruction, and "
        f"{published}/ (its archive unpacked; or in video_data/test/) with a folder of frames a "
        "clip",
        files={"test": (f"video_instruction/test/{file}|test/{file}|{file}",)},
        reading=CLIP_LINES,
        example=functools.partial(_llava_hound, published),
    )


PREPARATIONS: tuple[Preparation, ...] = (
    file_preparation(
        name="videomme",
        category="video",
        description="Video-MME: choices about clips of seconds to an hour, without subtitles.",
        licence=f"for research alone; {_SEE}",
        format="videomme",
        layout="videomme/test-*.parquet of lmms-lab/Video-MME, data/VIDEO.mp4",
        files={"test": ("videomme/test-*.parquet|test-*.parquet",)},
        reading=parquet(
            "question_id", "videoID", "duration", "task_type", "question", "options", "answer"
        ),
        example=_videomme,
    ),
    file_preparation(
        name="egoschema",
        category="video",
        description="EgoSchema's public subset: choices about three minutes of a person's view.",
        licence=f"of Ego4D; {_SEE}",
        format="egoschema",
        layout="questions.json, subset_answers.json, videos/NAME.mp4",
        files={"test": ("questions.json",)},
        reading=Reading(_egoschema_parts, _egoschema_records),
        example=_egoschema,
    ),
    file_preparation(
        name="nextqa",
        category="video",
        description="NExT-QA: choices about why and when, in clips of daily life.",
        licence=f"MIT; {_SEE}",
        format="nextqa",
        layout="dataset/nextqa/val.csv (test.csv; or without folders), and NExTVideo/ (or videos/) "
        "with NUMBER.mp4, or as VidOR has them with map_vid_vidorID.json",
        files={
            "validation": ("dataset/nextqa/val.csv|val.csv",),
            "test": ("dataset/nextqa/test.csv|test.csv",),
        },
        reading=_csv("video", "question", "answer", "qid", "type", *_CHOICES),
        example=_nextqa,
        beside=(_VIDOR_MAP,),
    ),
    file_preparation(
        name="intentqa",
        category="video",
        description="IntentQA: choices about what people intend, in clips of NExT-QA.",
        licence=f"see publisher; {_SEE}",
        format="intentqa",
        layout="datasets/IntentQA/test.csv (or without folders), and the clips of nextqa",
        files={
            "validation": ("datasets/IntentQA/val.csv|val.csv",),
            "test": ("datasets/IntentQA/test.csv|test.csv",),
        },
        reading=_csv("video_id", "question", "answer", "qid", "type", *_CHOICES),
        example=_intentqa,
        beside=(_VIDOR_MAP,),
    ),
    file_preparation(
        name="vcgbench",
        category="video",
        description="Video-ChatGPT's benchmark: long answers about clips, in five aspects.",
        licence=f"CC BY-SA 4.0; {_SEE}",
        format="vcgbench",
        layout="generic_qa.json, temporal_qa.json, consistency_qa.json, and Test_Videos/ with "
        "NAME.mp4",
        files={
            "test": tuple(
                f"Benchmarking_QA/{kind}_qa.json|{kind}_qa.json"
                for kind in ("generic", "temporal", "consistency")
            )
        },
        reading=Reading(_vcgbench_parts, _vcgbench_records),
        example=_vcgbench,
    ),
    *(_llava_hound_preparation(name, *facts) for name, facts in LLAVA_HOUND.items()),
)
