"""Tokenizers behind one interface: SentencePiece (.model) and Hugging Face (tokenizer.json).

Text from data never becomes a special token: "<user>" in a picture's caption is six characters, not
a change of turn. Role markers and the image token are reached through the attributes only.
"""

import abc
import functools
import hashlib
import importlib
import importlib.resources
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import sentencepiece
import tokenizers

ROLES = ("document", "user", "assistant", "system")
ROLE_PIECES = {"user": "<user>", "assistant": "<assistant>", "system": "<system>"}
IMAGE_PIECE = "<image>"

# For tokenizers without pieces of their own for the roles.
ROLE_TEXTS = {"user": "\nUser: ", "assistant": "\nAssistant: ", "system": "\nSystem: "}

_CLIENTS = {"gs": ("gcsfs", "gcs"), "s3": ("s3fs", "s3")}  # scheme to package and our extra
_NANO_MODEL = "assets/nano.model"
_EOS_NAMES = ("</s>", "<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|endoftext|>", "<eos>")
_PAD_NAMES = ("<pad>", "[PAD]", "<|pad|>", "<|finetune_right_pad_id|>", "<|endoftext|>")


class Tokenizer(abc.ABC):
    """Text to token ids and back.

    Attributes:
      vocab_size: one more than the largest id, the image token's included.
      pad_id: fills rows; never predicted.
      eos_id: ends an assistant's turn and a document.
      image_id: stands where a vision token stands; it is never embedded. A tokenizer without an
        "<image>" piece has it one past its own last id.
      role_ids: the marker of each role of `ROLES`, () for "document".
      fingerprint: 16 hex digits that differ between tokenizers that encode differently; an index of
        token counts is valid only for the fingerprint it was made with.
    """

    vocab_size: int
    pad_id: int
    eos_id: int
    image_id: int
    role_ids: Mapping[str, tuple[int, ...]]
    fingerprint: str

    @abc.abstractmethod
    def encode(self, text: str) -> list[int]:
        """Ids of a text, nothing added; special tokens in the text are plain characters.

        Raises:
          ValueError: if the text holds half of a surrogate pair, so that it is not Unicode.
        """

    @abc.abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; special tokens and ids out of range give nothing."""

    @functools.cached_property
    def _fixed(self) -> dict[str, tuple[int, ...]]:
        return {}

    def encode_fixed(self, text: str) -> tuple[int, ...]:
        """`encode` remembered for ever: for the few texts of the format itself, not for data."""
        ids = self._fixed.get(text)
        if ids is None:
            ids = self._fixed[text] = tuple(self.encode(text))
        return ids


class SentencePieceTokenizer(Tokenizer):
    """A SentencePiece model (unigram, BPE or characters)."""

    def __init__(self, model: bytes):
        """Loads a model.

        Args:
          model: the bytes of a .model file.

        Raises:
          ValueError: if the bytes are not a SentencePiece model, or it has no end-of-sentence
            piece.
        """
        self._model = model
        self._load()
        processor = self._processor
        if processor.eos_id() < 0:
            raise ValueError(
                "The SentencePiece model has no end-of-sentence piece; train it with eos_id >= 0."
            )
        self.eos_id = processor.eos_id()
        self.pad_id = next(
            i for i in (processor.pad_id(), processor.unk_id(), self.eos_id) if i >= 0
        )
        self.vocab_size = self._size
        image_id = self._piece_id(IMAGE_PIECE)
        if image_id is None:
            image_id, self.vocab_size = self._size, self._size + 1
        self.image_id = image_id
        self.role_ids = _role_ids(self._piece_id, self.encode)
        self.fingerprint = _fingerprint(model)

    def encode(self, text: str) -> list[int]:
        """See `Tokenizer.encode`."""
        try:
            return self._processor.encode(text)
        except RuntimeError:
            _check_unicode(text)
            raise

    def decode(self, ids: Sequence[int]) -> str:
        """See `Tokenizer.decode`."""
        image_id, size = self.image_id, self._size
        return self._processor.decode([int(i) for i in ids if 0 <= i < size and i != image_id])

    def _piece_id(self, piece: str) -> int | None:
        """Id of a control piece: an ordinary piece of that spelling could come from data."""
        index = self._processor.piece_to_id(piece)
        return index if self._processor.is_control(index) else None

    def _load(self) -> None:
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=self._model)
        except (RuntimeError, TypeError) as error:
            raise ValueError(
                f"Not a SentencePiece model ({len(self._model)} bytes); expected the bytes of a"
                " .model file."
            ) from error
        self._size = self._processor.vocab_size()

    def __getstate__(self) -> dict[str, object]:
        return {k: v for k, v in self.__dict__.items() if k != "_processor"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._load()


class HuggingFaceTokenizer(Tokenizer):
    """A tokenizer.json of Hugging Face's `tokenizers`."""

    def __init__(self, description: str, names: Mapping[str, str] | None = None):
        """Loads a tokenizer.

        Args:
          description: the text of tokenizer.json.
          names: the tokens that serve as "eos_token" and "pad_token"; without them common names are
            tried.

        Raises:
          ValueError: if the text is not a tokenizer, or no end-of-text token is found.
        """
        names = names or {}
        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(description)
        except Exception as error:  # the library raises nothing more specific
            raise ValueError(f"Not a Hugging Face tokenizer.json: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._tokenizer.encode_special_tokens = True  # specials in a text are plain characters
        eos_id = self._find(names.get("eos_token"), _EOS_NAMES)
        if eos_id is None:
            raise ValueError(
                f"tokenizer.json has no end-of-text token: looked for {names.get('eos_token')!r}"
                f" and {', '.join(_EOS_NAMES)}; name it as eos_token in tokenizer_config.json"
                " beside it."
            )
        self.eos_id = eos_id
        pad_id = self._find(names.get("pad_token"), _PAD_NAMES)
        self.pad_id = eos_id if pad_id is None else pad_id
        # Ids may have gaps, so the largest counts, not the number of tokens.
        self.vocab_size = max(self._tokenizer.get_vocab(with_added_tokens=True).values()) + 1
        image_id = self._special_id(IMAGE_PIECE)
        if image_id is None:
            image_id, self.vocab_size = self.vocab_size, self.vocab_size + 1
        self.image_id = image_id
        self.role_ids = _role_ids(self._special_id, self.encode)
        self.fingerprint = _fingerprint(
            description.encode() + f"{self.eos_id},{self.pad_id}".encode()
        )

    def encode(self, text: str) -> list[int]:
        """See `Tokenizer.encode`."""
        try:
            return self._tokenizer.encode(text, add_special_tokens=False).ids
        except TypeError:
            _check_unicode(text)
            raise

    def decode(self, ids: Sequence[int]) -> str:
        """See `Tokenizer.decode`."""
        image_id, size = self.image_id, self.vocab_size
        kept = [int(i) for i in ids if 0 <= i < size and i != image_id]
        return self._tokenizer.decode(kept, skip_special_tokens=True)

    def _special_id(self, token: str) -> int | None:
        """Id of an added special token: an ordinary one of that spelling could come from data."""
        index = self._tokenizer.token_to_id(token)
        added = self._tokenizer.get_added_tokens_decoder()
        return index if index in added and added[index].special else None

    def _find(self, name: str | None, fallbacks: tuple[str, ...]) -> int | None:
        for token in (name, *fallbacks):
            if token is not None and (index := self._tokenizer.token_to_id(token)) is not None:
                return index
        return None

    def __getstate__(self) -> dict[str, object]:
        # The library's own pickling forgets that special tokens are plain characters here.
        return self.__dict__ | {"_tokenizer": self._tokenizer.to_str()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._tokenizer = tokenizers.Tokenizer.from_str(state["_tokenizer"])
        self._tokenizer.encode_special_tokens = True


@functools.lru_cache(maxsize=8)
def load_tokenizer(name_or_path: str) -> Tokenizer:
    """Loads a tokenizer by name or path.

    Args:
      name_or_path: "nano" (shipped with the package), the path of a SentencePiece `.model` file, or
        the path of a Hugging Face `tokenizer.json` (or of the directory that holds it). A path may
        be an address in a bucket, gs:// or s3://.

    Returns:
      The tokenizer; one object for one argument, however often it is asked for.

    Raises:
      ValueError: if there is no such file, or it is not a tokenizer.
    """
    if name_or_path == "nano":
        asset = importlib.resources.files("mm15_jax.inputs") / _NANO_MODEL
        return SentencePieceTokenizer(asset.read_bytes())
    path = _to_path(name_or_path)
    if path.is_dir():
        path = path / "tokenizer.json"
    if not path.is_file():
        raise ValueError(
            f"No tokenizer {name_or_path!r}: expected 'nano', or the path of a SentencePiece .model"
            " or a Hugging Face tokenizer.json."
        )
    if path.suffix == ".model":
        return SentencePieceTokenizer(path.read_bytes())
    if path.suffix == ".json":
        return HuggingFaceTokenizer(path.read_text(encoding="utf-8"), _special_names(path.parent))
    raise ValueError(f"{name_or_path!r} ends in {path.suffix!r}; expected .model or .json.")


def check_embedded(tokenizer: Tokenizer, embeddings: int) -> None:
    """Refuses a tokenizer for a model: its lookups would clip ids, and nothing else would tell.

    Args:
      tokenizer: as of `load_tokenizer`.
      embeddings: that the model has, `model.decoder.vocab_size`.

    Raises:
      ValueError: the tokenizer has ids that the model has no embedding for.
    """
    # An image token on top of the tokenizer's own ids is never embedded.
    ids = tokenizer.vocab_size - (tokenizer.image_id == tokenizer.vocab_size - 1)
    if ids > embeddings:
        raise ValueError(
            f"the tokenizer has {ids} ids, the model embeds {embeddings}: give the tokenizer that "
            "the model was trained with, or a new model more with --set model.decoder.vocab_size"
        )


def _to_path(name: str) -> pathlib.Path:
    scheme, separator, _ = name.partition("://")
    if not separator:
        return pathlib.Path(name).expanduser()
    if scheme not in _CLIENTS:  # the rest is not repeated: it may hold a password
        raise ValueError(
            f"No tokenizer is read from {scheme}://...: expected 'nano', a path, or an address "
            "gs://BUCKET/PATH or s3://BUCKET/PATH."
        )
    package, extra = _CLIENTS[scheme]
    try:
        importlib.import_module(package)
    except ImportError as error:
        raise ValueError(f"{name} needs {package}: run `pip install mm15_jax[{extra}]`") from error
    from etils import epath

    return cast(pathlib.Path, epath.Path(name))


def _special_names(directory: pathlib.Path) -> dict[str, str]:
    """eos_token and pad_token as the files beside a tokenizer.json name them."""
    names: dict[str, str] = {}
    for file_name in ("special_tokens_map.json", "tokenizer_config.json"):
        path = directory / file_name
        if path.is_file():
            content = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(content, dict):
                raise ValueError(f"{path} holds {content!r:.40}; expected an object with eos_token")
            for key in ("eos_token", "pad_token"):
                value = content.get(key)
                value = value.get("content") if isinstance(value, dict) else value
                if isinstance(value, str):
                    names[key] = value
    return names


def _check_unicode(text: str) -> None:
    """Both libraries refuse half of a surrogate pair in words that say nothing of it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"a text that is not Unicode: {error}") from None


def _role_ids(
    special_id: Callable[[str], int | None], encode: Callable[[str], list[int]]
) -> dict[str, tuple[int, ...]]:
    """Markers: special tokens if the tokenizer has all of them, else `ROLE_TEXTS`."""
    pieces = {role: special_id(piece) for role, piece in ROLE_PIECES.items()}
    markers: dict[str, tuple[int, ...]]
    markers = {role: (index,) for role, index in pieces.items() if index is not None}
    if len(markers) < len(pieces):
        markers = {role: tuple(encode(text)) for role, text in ROLE_TEXTS.items()}
    return {"document": (), **markers}


def _fingerprint(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
