"""Batched generation with a key/value cache: prefill, then a loop that stays on the device.

The host formats prompts, renders tiles of the next batch while the device works on this one, and
reads the answers; no token travels to the host before its whole batch is done.

Axes: B rows, S prompt tokens (padded), N tiles a row, M new tokens at most, V vocabulary.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mm15_jax.config.schema import MOST_NEW_TOKENS, InputsConfig, ModelConfig
from mm15_jax.infer.batching import (
    Group,
    Prompt,
    build_batch,
    group_prompts,
    padded_answer,
    padded_cache,
    rows_for,
)
from mm15_jax.infer.decoding import decode_tokens
from mm15_jax.infer.sampling import GREEDY, Sampling
from mm15_jax.infer.stops import Stops, stops_of
from mm15_jax.inputs.example import Example
from mm15_jax.inputs.formatting import format_example
from mm15_jax.inputs.tokenizer import check_embedded
from mm15_jax.model import mllm
from mm15_jax.parallel.feeding import process_rows, replicate, to_devices
from mm15_jax.parallel.mesh import batch_divisor, replicated
from mm15_jax.parallel.rules import rules_of, use_rules
from mm15_jax.train.state import matmul_precision

Progress = Callable[[int, int], None]

_WINDOW = 1024  # examples that are sorted by shape together, and held in memory


@dataclasses.dataclass
class GenerationReport:
    """What the generator has done since it was made (or since `report` was replaced)."""

    examples: int = 0
    prompt_tokens: int = 0
    new_tokens: int = 0  # end-of-answer tokens included
    tiles: int = 0
    seconds: float = 0.0  # wall time, compilation excluded
    compile_seconds: float = 0.0
    programs: int = 0  # compiled shapes

    @property
    def tokens_per_second(self) -> float:
        """New tokens of all rows a second of wall time, prefill included."""
        return self.new_tokens / self.seconds if self.seconds else 0.0


class Generator:
    """Answers examples with one set of parameters.

    Attributes:
      report: what was done so far; assign a new `GenerationReport()` to start over.
    """

    def __init__(
        self,
        params: Any,
        model: ModelConfig,
        inputs: InputsConfig,
        tokenizer: Any,
        *,
        dtype: Any = jnp.float32,
        mesh: jax.sharding.Mesh | None = None,
        strategy: str = "fsdp",
    ):
        """Binds parameters to a way of reading examples.

        Args:
          params: nested dict as `mllm.init_params` makes it; arrays stay where they are.
          model: the model that owns them.
          inputs: how examples are formatted: as in training, or as `load.inputs_of` says.
          tokenizer: as `load_tokenizer` returns it.
          dtype: of the computation.
          mesh: rows are divided over it, and parameters as they come; None for one device. With
            several processes each of them asks the same and gets all answers.
          strategy: the mesh's rules, `parallel.rules.RULES`.

        Raises:
          ValueError: the tokenizer has ids that the model has no embedding for.
        """
        check_embedded(tokenizer, model.decoder.vocab_size)
        self.params = params
        self.model = model
        self.inputs = inputs
        self.tokenizer = tokenizer
        self.dtype = dtype
        self.report = GenerationReport()
        self._mesh, self._rules = mesh, rules_of(strategy)
        blocked = np.zeros(model.decoder.vocab_size, bool)
        blocked[tokenizer.vocab_size :] = True  # embeddings padded to a round number, never trained
        # The model writes text: an image token would stand for pixels that are not there.
        for token in (tokenizer.pad_id, tokenizer.image_id):
            blocked[token : token + 1] = True
        blocked[tokenizer.eos_id] = False
        self._blocked = self._everywhere(blocked)
        self._stops: dict[tuple[tuple[str, ...], bool], Stops] = {}
        self._programs: dict[Any, Any] = {}

    def fingerprint(self) -> str:
        """Names parameters and settings in 16 hex digits, to tell stale answers from good ones.

        Reads a strided sample of some thousand numbers of each array, so it takes milliseconds and
        changes with any training step.
        """
        text = repr((self.model, self.inputs, self.tokenizer.fingerprint, str(self.dtype)))
        low, high = zlib.crc32(text.encode()), zlib.adler32(text.encode())
        for path, leaf in jax.tree_util.tree_leaves_with_path(self.params):
            sample = np.asarray(_sample(leaf, out=self.whole), np.float32)
            data = jax.tree_util.keystr(path).encode() + sample.tobytes()
            low, high = zlib.crc32(data, low), zlib.adler32(data, high)
        return f"{low:08x}{high:08x}"

    def format(self, example: Example, index: int = 0, *, for_generation: bool = True) -> Prompt:
        """One example as a prompt: what is before its first assistant text, or all of it."""
        formatted = format_example(
            example,
            self.tokenizer,
            self.inputs,
            tokens_per_tile=mllm.tokens_per_tile(self.model),
            resolution=self.model.encoder.resolution,
            for_generation=for_generation,
        )
        return Prompt(index, example, formatted)

    def generate(
        self,
        examples: Sequence[Example],
        *,
        max_new_tokens: int = 64,
        batch_size: int = 64,
        sampling: Sampling = GREEDY,
        progress: Progress | None = None,
    ) -> list[str]:
        """Answers examples, in their order.

        Args:
          examples: any lengths and numbers of images; answers in them are not read.
          max_new_tokens: an answer is cut there.
          batch_size: most rows at once; the answers do not depend on it.
          sampling: greedy unless said.
          progress: called with (answered, all) after each batch.

        Returns:
          One text an example, stripped, without the end token. What cannot be read of its pictures
          it was shown blank, with a warning.

        Raises:
          ValueError: `max_new_tokens` is not 1 to MOST_NEW_TOKENS, or `batch_size` is not positive.
        """
        answers = [""] * len(examples)
        for index, answer in self.stream(
            examples,
            max_new_tokens=max_new_tokens,
            batch_size=batch_size,
            sampling=sampling,
            progress=progress,
        ):
            answers[index] = answer
        return answers

    def stream(
        self,
        examples: Sequence[Example],
        *,
        max_new_tokens: int = 64,
        batch_size: int = 64,
        sampling: Sampling = GREEDY,
        progress: Progress | None = None,
        strip: bool = True,
        stops: Sequence[str] = (),
        draws: Sequence[int] = (),
    ) -> Iterator[tuple[int, str]]:
        """As `generate`, but yields (index, answer) as batches finish, in the order of batches.

        With `strip` off, white space around an answer is kept, as the model wrote it. What comes
        behind the first of some `stops` is not wanted: an answer may end with the token that has
        it, which is a saving of time, not yet a cut. Sampling draws by an example's number in
        `draws`, by its place where there are none: who asks in parts numbers the whole.
        """
        if not 1 <= max_new_tokens <= MOST_NEW_TOKENS:
            raise ValueError(f"max_new_tokens is {max_new_tokens}, expected 1 to {MOST_NEW_TOKENS}")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, expected 1 or more")
        rows = self.rows_for(len(examples), batch_size)
        answered = 0
        waiting: tuple[Group, Any, Any] | None = None
        for group in itertools.chain(self._groups(examples, rows), [None]):
            start = time.perf_counter()
            compiled = self.report.compile_seconds
            # The device is still busy with the batch before: start the next one, then collect.
            started = None
            if group is not None:
                ends = self._stops_of(tuple(stops), strip)
                started = (group, *self._start(group, max_new_tokens, sampling, ends, draws))
            done = self._collect(*waiting, strip=strip) if waiting else []
            waiting = started
            self.report.seconds += time.perf_counter() - start
            self.report.seconds -= self.report.compile_seconds - compiled
            yield from done
            if done:
                answered += len(done)
                if progress:
                    progress(answered, len(examples))

    def _groups(self, examples: Sequence[Example], rows: int) -> Iterator[Group]:
        """Batches of one shape; only a window of the examples is in memory at once."""
        window = max(_WINDOW, 4 * rows)
        for start in range(0, len(examples), window):
            stop = min(start + window, len(examples))
            prompts = [self.format(examples[i], i) for i in range(start, stop)]
            yield from group_prompts(prompts, rows)

    def _stops_of(self, strings: tuple[str, ...], strip: bool) -> Stops:
        """Made once: a large vocabulary takes a second."""
        if (strings, strip) not in self._stops:
            found = stops_of(self.tokenizer, self.model.decoder.vocab_size, strings, strip)
            self._stops[strings, strip] = Stops(*map(self._everywhere, found))
        return self._stops[strings, strip]

    def _start(
        self,
        group: Group,
        max_new_tokens: int,
        sampling: Sampling,
        stops: Stops,
        draws: Sequence[int],
    ) -> tuple[jax.Array, jax.Array]:
        """Sends one batch to the device; returns tokens and counts, not yet computed."""
        tokenizer = self.tokenizer
        batch = self.to_devices(group)
        self.report.prompt_tokens += sum(prompt.length for prompt in group.prompts)
        self.report.tiles += sum(prompt.tiles for prompt in group.prompts)
        cache_length = padded_cache(group.length + max_new_tokens)
        prefill = self.program(
            ("prefill", group.rows, group.length, group.tiles, cache_length),
            functools.partial(
                mllm.prefill, config=self.model, cache_length=cache_length, dtype=self.dtype
            ),
            (self.params, batch),
        )
        logits, cache = prefill(self.params, batch)
        finished = np.arange(group.rows) >= len(group.prompts)
        streams = np.zeros(group.rows, np.uint32)
        streams[: len(group.prompts)] = [
            draws[prompt.index] if draws else prompt.index for prompt in group.prompts
        ]
        arguments = (
            self.params,
            cache,
            logits,
            self._everywhere(finished),
            self._blocked,
            stops,
            self._everywhere(np.int32(max_new_tokens)),
            self._everywhere(np.uint32(sampling.seed)),
            self._everywhere(streams),
        )
        chosen = dataclasses.replace(sampling, seed=0)  # the seed is data, the rest is compiled in
        room = padded_answer(max_new_tokens)
        decode = self.program(
            ("decode", group.rows, cache_length, room, chosen),
            functools.partial(
                decode_tokens,
                config=self.model,
                dtype=self.dtype,
                eos_id=tokenizer.eos_id,
                room=room,
                sampling=chosen,
            ),
            arguments,
            donate=(1,) if jax.default_backend() != "cpu" else (),
            # The cache is given back as it came: a donated buffer that no result takes is copied.
            out_shardings=(self.whole, self.whole, jax.tree.map(lambda x: x.sharding, cache)),
        )
        tokens, counts, _ = decode(*arguments)
        return tokens, counts

    def _collect(
        self, group: Group, tokens: Any, counts: Any, *, strip: bool
    ) -> list[tuple[int, str]]:
        """Waits for one batch and reads its answers."""
        tokens, counts = np.asarray(tokens), np.asarray(counts)
        done = []
        for row, prompt in enumerate(group.prompts):
            ids = tokens[row, : counts[row]].tolist()
            if ids and ids[-1] == self.tokenizer.eos_id:
                ids.pop()
            answer = self.tokenizer.decode(ids)
            done.append((prompt.index, answer.strip() if strip else answer))
        self.report.examples += len(done)
        self.report.new_tokens += int(counts.sum())
        return done

    def rows_for(self, examples: int, batch_size: int) -> int:
        """Rows of a batch: a multiple of the devices that they are divided over."""
        return rows_for(examples, batch_size, batch_divisor(self._mesh) if self._mesh else 1)

    def to_devices(self, group: Group, *, loss_weights: bool = False) -> Any:
        """The batch of a group where programs want it; of several processes each brings its rows.

        Args:
          group: prompts of one shape.
          loss_weights: whether the batch has those of the formatted prompts; else they are zero.
        """
        rows = process_rows(self._mesh, group.rows) if self._mesh else list(range(group.rows))
        batch = build_batch(
            group,
            resolution=self.model.encoder.resolution,
            pad_id=self.tokenizer.pad_id,
            rows=rows,
            loss_weights=loss_weights,
        )
        return to_devices(batch, self._mesh, group.rows, rows) if self._mesh else batch

    def program(
        self, key: Any, function: Callable, arguments: tuple, donate=(), out_shardings: Any = None
    ) -> Callable:
        """A function compiled for the shapes of its arguments, once a key; counts what it took.

        Without `out_shardings` its results are divided as the compiler likes.
        """
        if key not in self._programs:
            start = time.perf_counter()
            options = {"out_shardings": out_shardings} if self._mesh else {}
            program = jax.jit(self._ruled(function), donate_argnums=donate, **options)
            self._programs[key] = program.lower(*arguments).compile()
            self.report.compile_seconds += time.perf_counter() - start
            self.report.programs += 1
        return self._programs[key]

    def _ruled(self, function: Callable) -> Callable:
        """The function with the mesh's rules and the dtype's precision in force."""
        precision = matmul_precision(self.dtype, jax.default_backend())

        def ruled(*arguments):
            rules = use_rules(self._mesh, self._rules) if self._mesh else contextlib.nullcontext()
            with rules, jax.default_matmul_precision(precision):
                return function(*arguments)

        return ruled

    @property
    def whole(self) -> jax.sharding.Sharding | None:
        """The sharding of what every device has, so that any process can read it, on a mesh."""
        return replicated(self._mesh) if self._mesh else None

    def _everywhere(self, x: Any) -> jax.Array:
        """A host array on the device, or whole on all of them."""
        if self._mesh is None:
            return jnp.asarray(x)
        return replicate(np.asarray(x), replicated(self._mesh))


@functools.partial(jax.jit, static_argnames="out")
def _sample(x: jax.Array, out: Any) -> jax.Array:
    """Some thousand numbers of an array, 4,096 to 8,191 of a large one, evenly spaced.

    By their places in each axis: flattened, a divided array would be whole on every device first.
    """
    x = jnp.atleast_1d(x)
    flat = np.arange(0, x.size, max(1, x.size // 4096))
    sample = x[np.unravel_index(flat, x.shape)]
    return sample if out is None else jax.lax.with_sharding_constraint(sample, out)
