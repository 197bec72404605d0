"""What the adapters share: a run, requests as examples, and the harnesses' generation options."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import cv2
from PIL import Image as Picture
from PIL import ImageOps

from mm15_jax.config import apply_overrides, validate
from mm15_jax.config.names import nearest
from mm15_jax.infer.load import find_run, load_generator
from mm15_jax.infer.sampling import GREEDY, Sampling
from mm15_jax.inputs.example import Example, Image, Segment, Text

PLACEHOLDER = "<image>"
# Names that the harnesses' tasks and commands use for one thing.
_LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens")
_STOPS = ("until", "stop")
# Options of other models that say nothing about an answer of ours.
_WITHOUT_MEANING = frozenset(
    {"image_aspect_ratio", "use_cache", "pad_token_id", "eos_token_id", "interleaved_format"}
)
_KNOWN = (*_LENGTHS, *_STOPS, "do_sample", "temperature", "top_p", "seed")


@dataclasses.dataclass(frozen=True)
class Request:
    """How one answer is generated.

    Attributes:
      max_new_tokens: an answer is cut there.
      sampling: greedy or sampled.
      until: an answer ends before the first of these strings.
    """

    max_new_tokens: int
    sampling: Sampling
    until: tuple[str, ...]

    def cut(self, answer: str) -> str:
        """An answer up to its first stop string."""
        for stop in self.until:
            answer = answer.split(stop, 1)[0]
        return answer


def read_request(options: Mapping[str, Any], *, longest: int, seed: int = 0) -> Request:
    """A harness's generation options as ours.

    `do_sample: false`, temperature 0 or none at all is greedy; `do_sample: true` without a
    temperature has 1. An option that is None is not given.

    Args:
      options: of a task's `generation_kwargs` and the command's `--gen_kwargs`.
      longest: new tokens where the options say nothing.
      seed: of sampling, where the options say nothing.

    Raises:
      ValueError: an option that we cannot do, or a value that it cannot have.
    """
    given = {k: v for k, v in options.items() if v is not None and k not in _WITHOUT_MEANING}
    if given.get("num_beams", 1) == 1:
        given.pop("num_beams", None)
    if given.get("repetition_penalty", 1.0) == 1:
        given.pop("repetition_penalty", None)
    unknown = [name for name in given if name not in _KNOWN]
    if unknown:
        raise ValueError(
            f"generation option {unknown[0]}={given[unknown[0]]!r} is not one that mm15 has,"
            f" expected some of {', '.join(_KNOWN)}"
            f" (perhaps {nearest(unknown[0], _KNOWN, 1)[0]})"
        )
    lengths = [given[name] for name in _LENGTHS if name in given]
    length = int(lengths[0]) if lengths else longest
    if length < 1:
        raise ValueError(f"an answer of {length} new tokens is asked for, expected 1 or more")
    stops = [stop for name in _STOPS for stop in _listed(given.get(name, ()))]
    temperature = float(given.get("temperature", 1.0 if given.get("do_sample") else 0.0))
    if given.get("do_sample") is False or temperature == 0:
        sampling = GREEDY
    else:
        # Some tasks write 0 where they mean that nothing is cut off.
        top_p = float(given.get("top_p", 1.0)) or 1.0
        sampling = Sampling(temperature, top_p, int(given.get("seed", seed)))
    return Request(length, sampling, tuple(stop for stop in stops if stop))


def _listed(value: Any) -> Sequence[str]:
    return [value] if isinstance(value, str) else list(value)


def as_image(picture: Any, role: str) -> Image:
    """A harness's picture (PIL, or the path of a file) as a segment.

    Raises:
      ValueError: it is neither.
    """
    if isinstance(picture, str):
        with Picture.open(picture) as file:
            picture = ImageOps.exif_transpose(file)
    if not isinstance(picture, Picture.Image):
        raise ValueError(f"a picture is {type(picture).__name__}, expected a PIL image or a path")
    if picture.mode not in ("L", "RGB", "RGBA", "P", "1", "LA"):
        picture = picture.convert("RGB")
    data = io.BytesIO()
    picture.save(data, "PNG", compress_level=1)
    return Image(data.getvalue(), picture.height, picture.width, role=role)


def video_frames(
    video: Any, count: int, *, start: float | None = None, end: float | None = None
) -> list[Any]:
    """Frames of a video, uniformly: the middle one of each of `count` equal parts.

    Args:
      video: the path of a file, or its frames as PIL images or their paths.
      count: most frames; a video of fewer gives all.
      start: seconds where the part that counts begins.
      end: seconds where it ends.

    Returns:
      PIL images, or what `video` is made of.

    Raises:
      ValueError: the file cannot be read.
    """
    if not isinstance(video, str):
        frames = list(video)
        return [frames[place] for place in _middles(0, len(frames), count)]
    reader = cv2.VideoCapture(video)
    try:
        total = int(reader.get(cv2.CAP_PROP_FRAME_COUNT))
        rate = reader.get(cv2.CAP_PROP_FPS) or 1.0
        first = min(int((start or 0.0) * rate), max(total - 1, 0))
        last = total if end is None else max(first + 1, min(total, int(end * rate)))
        wanted = set(_middles(first, last, count))
        found = []
        # In order: seeking lands on the wrong frame in many files.
        for place in range(max(wanted, default=-1) + 1):
            if not reader.grab():
                break
            if place in wanted:
                there, pixels = reader.retrieve()
                if there:
                    found.append(Picture.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)))
    finally:
        reader.release()
    if not found:
        raise ValueError(f"no frame of the video {video} can be read")
    return found


def _middles(first: int, last: int, count: int) -> list[int]:
    """The middle of each of `count` equal parts of first ... last - 1; all where they are fewer."""
    size = last - first
    if size <= count:
        return list(range(first, last))
    return [first + (2 * part + 1) * size // (2 * count) for part in range(count)]


def with_pictures(text: str, pictures: Sequence[Any], role: str) -> list[Segment]:
    """A text with "<image>" where pictures stand, as segments.

    A text without any placeholder has its pictures before it.

    Raises:
      ValueError: there are not as many placeholders as pictures.
    """
    parts = text.split(PLACEHOLDER)
    if len(parts) == 1:
        parts = [""] * len(pictures) + parts
    if len(parts) != len(pictures) + 1:
        raise ValueError(
            f"a prompt has {len(parts) - 1} times {PLACEHOLDER} and {len(pictures)} pictures,"
            f" expected as many: {text[:80]!r}"
        )
    segments: list[Segment] = []
    for number, part in enumerate(parts):
        if number:
            segments.append(as_image(pictures[number - 1], role))
        if part:
            segments.append(Text(part, role=role))
    return segments


def to_answer(segments: Iterable[Segment], key: str, *, chat: bool) -> Example:
    """An example that is to be gone on with: by the assistant, or as a document."""
    # The text with loss says where the answer is; answers before it are few-shot examples.
    end = Text("", role="assistant" if chat else "document", loss=True)
    return Example((*segments, end), "harness", key, "", {})


class RunModel:
    """A run that answers examples, as a harness's model arguments describe it."""

    def __init__(
        self,
        run_dir: str = "",
        *,
        batch_size: int | str = 32,
        max_new_tokens: int = 256,
        seed: int = 0,
        **overrides: Any,
    ):
        """Loads the newest parameters.

        Args:
          run_dir: a run directory, or a chain's, of which the last stage answers.
          batch_size: most rows at once.
          max_new_tokens: of answers whose task says nothing.
          seed: of sampling, for tasks that sample.
          **overrides: fields of `eval` of the run's experiment, such as n_max.

        Raises:
          ValueError: no such run, field or batch size.
        """
        if not run_dir:
            raise ValueError("name the run: --model_args run_dir=RUN_DIR")
        if not str(batch_size).isdecimal() or int(batch_size) < 1:
            raise ValueError(f"batch_size is {batch_size}, expected a number of rows")
        path, config = find_run(str(run_dir))
        config = apply_overrides(config, [f"eval.{k}={v}" for k, v in overrides.items()])
        validate(config)
        self.name = str(path)
        self.batch_size = int(batch_size)
        self.max_new_tokens = int(max_new_tokens)
        self.seed = int(seed)
        self.sequence_length = config.inputs.sequence_length
        self.generator = load_generator(path, config)

    def answer(
        self,
        examples: Sequence[Example],
        options: Sequence[Mapping[str, Any]],
        progress: Any,
        first: int = 0,
    ) -> list[str]:
        """Answers examples, each by its own options; `progress` is called with 1 for each.

        `first` is the place of the first example where these are a part of what is asked: sampled
        answers do not depend on how it is divided.
        """
        requests = [
            read_request(given, longest=self.max_new_tokens, seed=self.seed) for given in options
        ]
        answers = [""] * len(examples)
        # Asked together are those of one length, way of sampling, and stop strings.
        kinds: dict[tuple[int, Sampling, tuple[str, ...]], list[int]] = {}
        for place, request in enumerate(requests):
            kind = (request.max_new_tokens, request.sampling, request.until)
            kinds.setdefault(kind, []).append(place)
        for (length, sampling, until), places in kinds.items():
            stream = self.generator.stream(
                [examples[place] for place in places],
                max_new_tokens=length,
                batch_size=self.batch_size,
                sampling=sampling,
                strip=False,
                stops=until,
                draws=[first + place for place in places],
            )
            for number, answer in stream:
                answers[places[number]] = requests[places[number]].cut(answer)
                progress(1)
        return answers
