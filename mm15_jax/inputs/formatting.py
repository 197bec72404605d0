"""From an example to the tokens of one sequence: turns, vision tokens, loss weights.

A turn is written as its role's marker and its segments; an assistant's turn ends with the end
token. Plain documents (captions, interleaved pages, text) have no markers and end with one end
token. For a conversation about one split picture, with the overview after the sub-images:

  <user> (0,1,1) v v v (0,1,2) v v v ... (0,0,0) v v v What is this? <assistant> A cat. </s>
                                                                                 ^^^^^^ ^^^^ loss
"""

import dataclasses
import difflib

import numpy as np

from mm15_jax.config import schema
from mm15_jax.inputs import image_splitting, video
from mm15_jax.inputs.example import Example, Image, Segment, Text, Video
from mm15_jax.inputs.tokenizer import ROLES, Tokenizer

INDICATORS = ("none", "index", "seps")
OBJECTIVES = ("next_token", "dense_labels")
# A loss token of an example with n of them weighs n ** exponent: InternVL 2.5's token, square and
# sample averaging. Long answers drown short ones by "token".
LOSS_BALANCES = {"token": 0.0, "square": -0.5, "example": -1.0}

_ONE_TILE = schema.SplittingConfig(mode="none")


@dataclasses.dataclass(frozen=True)
class Formatted:
    """An example as arrays; L is its length in tokens.

    Attributes:
      tokens: int32[L]; the tokenizer's image_id at vision positions.
      loss_weights: float32[L]; the weight of PREDICTING tokens[t] from what is before it. The first
        is always 0: nothing is before it.
      vision_index: int32[L]; which vision token of this example stands at t, or -1. Tile k of the
        example owns k * T to k * T + T - 1.
      tilings: one per picture, in order; their tiles, one after the other, are the example's. A
        clip has one per frame that is taken of it.
      pictures: tilings of each image or video segment, in order: 1, or the frames of a clip.
    """

    tokens: np.ndarray
    loss_weights: np.ndarray
    vision_index: np.ndarray
    tilings: tuple[image_splitting.Tiling, ...]
    pictures: tuple[int, ...]


# A run of tokens with one loss weight; None: the vision tokens of the next tile.
_Run = tuple[list[int] | tuple[int, ...] | None, float]


def format_example(
    example: Example,
    tokenizer: Tokenizer,
    inputs: schema.InputsConfig,
    *,
    tokens_per_tile: int,
    resolution: int,
    for_generation: bool = False,
) -> Formatted:
    """Writes an example as one sequence of tokens.

    Rules:
    * A role's marker stands where the role changes; no marker for "document". An assistant's turn
      ends with the end token, and so does an example that ends as a document; the end token has
      loss if a text of its turn (of the document) has.
    * Position indicators (section 3.5) stand before each tile of a picture that is SPLIT. "index":
      the text (k,i,j), k the picture's number in the example from 0, i and j the row and column
      from 1, (k,0,0) the overview. "seps": ":" before the overview, "," between columns, "<n>"
      between rows. A picture in one tile has no position to indicate.
    * A clip is the tiles of `inputs.video.frames` of its frames, one after the other, nothing
      between them (section 5). A frame counts as a picture and is never split.
    * `loss_balance` divides the weights of an example, by its number of loss tokens or the root.
    * Objective "dense_labels" (encoder pretraining): [picture, text with loss], the picture in one
      tile, the text one token a patch; the label of the patch at p is the target tokens[p + 1].

    Args:
      example: what to write.
      tokenizer: text to ids.
      inputs: splitting, indicators and objective.
      tokens_per_tile: T, vision tokens a tile.
      resolution: side of a tile in pixels.
      for_generation: stop where the model is to go on: after the assistant's marker, before the
        assistant's first text (the first one with loss, if any has: few-shot answers have none). A
        conversation without an answer gets the assistant's marker; a document stops before its
        first text with loss.

    Returns:
      The arrays. Longer examples than a row are the caller's business.

    Raises:
      ValueError: if a role, the indicator, the objective or the balance is unknown, or if the
        labels of "dense_labels" do not match the patches.
    """
    _check(inputs.loss_balance, "loss_balance", tuple(LOSS_BALANCES))
    if inputs.objective == "dense_labels":
        return _format_dense_labels(example, tokenizer, tokens_per_tile, resolution)
    runs, tilings, pictures = _layout(example, tokenizer, inputs, resolution, for_generation)
    length = sum(tokens_per_tile if ids is None else len(ids) for ids, _ in runs)
    tokens = np.empty(length, np.int32)
    loss_weights = np.zeros(length, np.float32)
    vision_index = np.full(length, -1, np.int32)
    start = vision_tokens = 0
    for ids, weight in runs:
        if ids is None:
            stop = start + tokens_per_tile
            tokens[start:stop] = tokenizer.image_id
            vision_index[start:stop] = np.arange(vision_tokens, vision_tokens + tokens_per_tile)
            vision_tokens += tokens_per_tile
        else:
            stop = start + len(ids)
            tokens[start:stop] = ids
            if weight:
                loss_weights[start:stop] = weight
        start = stop
    if length:
        loss_weights[0] = 0.0
    loss_tokens = np.count_nonzero(loss_weights)
    if loss_tokens:
        loss_weights *= np.float32(loss_tokens ** LOSS_BALANCES[inputs.loss_balance])
    return Formatted(tokens, loss_weights, vision_index, tuple(tilings), tuple(pictures))


def measure(
    example: Example,
    tokenizer: Tokenizer,
    inputs: schema.InputsConfig,
    *,
    tokens_per_tile: int,
    resolution: int,
) -> tuple[int, int]:
    """Tokens and tiles that `format_example` would give, for the index of a data set.

    Args:
      example: what to measure; only sizes of pictures and clips, and lengths of clips, are read.
      tokenizer: as in `format_example`.
      inputs: as in `format_example`.
      tokens_per_tile: as in `format_example`.
      resolution: as in `format_example`.

    Returns:
      (tokens, tiles).

    Raises:
      ValueError: as in `format_example`.
    """
    if inputs.objective == "dense_labels":
        _dense_labels(example, tokenizer, tokens_per_tile)
        return tokens_per_tile + 1, 1
    runs, tilings, _ = _layout(example, tokenizer, inputs, resolution, for_generation=False)
    tokens = sum(tokens_per_tile if ids is None else len(ids) for ids, _ in runs)
    return tokens, sum(tiling.num_tiles for tiling in tilings)


def _layout(
    example: Example,
    tokenizer: Tokenizer,
    inputs: schema.InputsConfig,
    resolution: int,
    for_generation: bool,
) -> tuple[list[_Run], list[image_splitting.Tiling], list[int]]:
    """The sequence as runs of tokens and tiles; tilings; tilings of each picture or clip."""
    _check(inputs.splitting.indicator, "splitting.indicator", INDICATORS)
    _check(inputs.objective, "objective", OBJECTIVES)
    segments = example.segments
    wanted = inputs.video.frames
    images_in_example = sum(
        video.count_frames(segment.frames, wanted) if isinstance(segment, Video) else 1
        for segment in segments
        if not isinstance(segment, Text)
    )
    stop = len(segments)
    answers = False
    if for_generation:
        stop, answers = answer_position(segments)
    end = (tokenizer.eos_id,)
    runs: list[_Run] = []
    tilings: list[image_splitting.Tiling] = []
    pictures: list[int] = []
    role = "document"
    turn_loss = 0.0  # whether a text of the present turn has loss
    for segment in segments[:stop]:
        if segment.role != role:
            _check(segment.role, "role", ROLES)
            if role == "assistant":
                runs.append((end, turn_loss))
            role, turn_loss = segment.role, 0.0
            runs.append((tokenizer.role_ids[role], 0.0))
        if isinstance(segment, Text):
            weight = 1.0 if segment.loss else 0.0
            turn_loss = max(turn_loss, weight)
            runs.append((tokenizer.encode(segment.text), weight))
        elif isinstance(segment, Video):
            frames = video.plan_frames(segment, wanted=wanted, resolution=resolution)
            runs.extend([(None, 0.0)] * len(frames))
            tilings.extend(frames)
            pictures.append(len(frames))
        else:
            tiling = image_splitting.plan_tiling(
                segment.height,
                segment.width,
                resolution=resolution,
                splitting=inputs.splitting,
                images_in_example=images_in_example,
            )
            _append_tiles(runs, tiling, len(tilings), tokenizer, inputs.splitting.indicator)
            tilings.append(tiling)
            pictures.append(1)
    if not for_generation:
        if role in ("assistant", "document") and segments:
            runs.append((end, turn_loss))
    elif answers and role != "assistant":
        runs.append((tokenizer.role_ids["assistant"], 0.0))
    return runs, tilings, pictures


def _append_tiles(
    runs: list[_Run],
    tiling: image_splitting.Tiling,
    number: int,
    tokenizer: Tokenizer,
    indicator: str,
) -> None:
    """Appends a picture's tiles, each after its position indicator."""
    if indicator == "none" or not tiling.is_split:
        runs.extend([(None, 0.0)] * tiling.num_tiles)
        return
    for row, column in tiling.cells:
        if indicator == "index":
            text = f"({number},{row},{column})"
        elif (row, column) == image_splitting.OVERVIEW_CELL:
            text = ":"
        elif column > 1:
            text = ","
        else:
            text = "<n>" if row > 1 else ""
        if text:
            runs.append((tokenizer.encode_fixed(text), 0.0))
        runs.append((None, 0.0))


def answer_position(segments: tuple[Segment, ...]) -> tuple[int, bool]:
    """Index of the segment to be produced, and whether it is an assistant's answer.

    The index is the number of segments where no answer is among them.
    """
    texts = [(i, s) for i, s in enumerate(segments) if isinstance(s, Text)]
    answers = [(i, s.loss) for i, s in texts if s.role == "assistant"]
    if answers:
        return next((i for i, loss in answers if loss), answers[0][0]), True
    if any(segment.role != "document" for segment in segments):
        return len(segments), True
    return next((i for i, s in texts if s.loss), len(segments)), False


def _format_dense_labels(
    example: Example, tokenizer: Tokenizer, tokens_per_tile: int, resolution: int
) -> Formatted:
    image, labels = _dense_labels(example, tokenizer, tokens_per_tile)
    tokens = np.array([tokenizer.image_id, *labels], np.int32)
    loss_weights = np.ones(tokens_per_tile + 1, np.float32)
    loss_weights[0] = 0.0
    vision_index = np.arange(tokens_per_tile + 1, dtype=np.int32)
    vision_index[-1] = -1
    tiling = image_splitting.plan_tiling(
        image.height, image.width, resolution=resolution, splitting=_ONE_TILE, images_in_example=1
    )
    return Formatted(tokens, loss_weights, vision_index, (tiling,), (1,))


def _dense_labels(example: Example, tokenizer: Tokenizer, patches: int) -> tuple[Image, list[int]]:
    segments = example.segments
    if (
        len(segments) != 2
        or not isinstance(segments[0], Image)
        or not isinstance(segments[1], Text)
        or not segments[1].loss
    ):
        raise ValueError(
            f"{_name(example)}: objective 'dense_labels' needs one picture and one text with loss;"
            f" got {[type(segment).__name__ for segment in segments]}."
        )
    labels = tokenizer.encode(segments[1].text)
    if len(labels) != patches:
        raise ValueError(
            f"{_name(example)}: {len(labels)} labels for {patches} patches; objective"
            " 'dense_labels' needs a text of one token a patch, row by row."
        )
    return segments[0], labels


def _name(example: Example) -> str:
    return f"Example {example.key!r} of {example.source!r}"


def _check(value: str, name: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        nearest = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.0)[0]
        raise ValueError(f"{name} is {value!r}; expected one of {choices}, perhaps {nearest!r}.")
