"""Where an answer ends though the model goes on: at the end of a line, or another string.

The loop that extends answers stays on the device, where there are tokens, not texts. So a row ends
with the first token whose own text has the string; one that is spread over several tokens is found
by whoever reads the answer, as before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from mm15_jax.inputs.tokenizer import Tokenizer


class Stops(NamedTuple):
    """Which tokens end an answer; bool[V] each.

    Attributes:
      at_once: wherever they come.
      later: where something that is no white space came before, or is in the token itself.
      begins: has something that is no white space.
    """

    at_once: jax.Array | np.ndarray
    later: jax.Array | np.ndarray
    begins: jax.Array | np.ndarray

    def ended(self, token: jax.Array, begun: jax.Array) -> jax.Array:
        """bool[B]: whether rows end with their tokens int32[B]; `begun` is before them."""
        return self.at_once[token] | (self.later[token] & begun)

    def begun(self, token: jax.Array, begun: jax.Array) -> jax.Array:
        """bool[B]: whether rows with these tokens have more than white space."""
        return begun | self.begins[token]


def stops_of(tokenizer: Tokenizer, vocab_size: int, strings: Sequence[str], strip: bool) -> Stops:
    """The tokens that end answers before the first of some strings.

    Args:
      tokenizer: decodes each token by itself.
      vocab_size: V, of the model.
      strings: none: nothing but the end token ends an answer.
      strip: whether white space before an answer is none of it, nor a stop in it.
    """
    at_once, later, begins = (np.zeros(vocab_size, bool) for _ in Stops._fields)
    for token in range(min(vocab_size, tokenizer.vocab_size)) if strings else ():
        text = tokenizer.decode([token])
        begins[token] = bool(text.strip())
        later[token] = any(string in text for string in strings)
        counted = text.lstrip() if strip else text
        at_once[token] = any(string in counted for string in strings)
    return Stops(at_once, later, begins)
