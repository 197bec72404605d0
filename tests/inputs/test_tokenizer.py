"""One interface over SentencePiece and Hugging Face tokenizers."""

import io
import json
import pickle
import sys

import pytest
import sentencepiece
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from mm15_jax.inputs.tokenizer import (
    ROLE_TEXTS,
    HuggingFaceTokenizer,
    SentencePieceTokenizer,
    load_tokenizer,
)

_ROLE_TOKENS = ["<user>", "<assistant>", "<system>", "<image>"]


def byte_level(special=("<|endoftext|>",)):
    """A byte-level tokenizer: 256 bytes and the given special tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = tokenizers.Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(special))
    return tokenizer


def sentencepiece_bytes(**options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the cat sat on the mat", "a user and an assistant"] * 20),
        model_writer=model,
        hard_vocab_limit=False,
        **{"model_type": "bpe", "vocab_size": 60, "minloglevel": 2, "pad_id": 3} | options,
    )
    return model.getvalue()


@pytest.fixture(params=["nano", "sentencepiece", "hugging_face", "hugging_face_roles"])
def tokenizer(request, nano):
    if request.param == "nano":
        return nano
    if request.param == "sentencepiece":
        return SentencePieceTokenizer(sentencepiece_bytes())
    special = ["<|endoftext|>"]
    if request.param == "hugging_face_roles":
        special += _ROLE_TOKENS
    return HuggingFaceTokenizer(byte_level(special).to_str())


def test_text_comes_back(tokenizer):
    assert tokenizer.decode(tokenizer.encode("the cat sat")) == "the cat sat"
    assert tokenizer.encode("") == []
    assert tokenizer.decode([]) == ""


def test_special_ids_are_distinct_and_inside_the_vocabulary(tokenizer):
    assert tokenizer.image_id != tokenizer.eos_id
    assert tokenizer.image_id != tokenizer.pad_id
    for index in (tokenizer.pad_id, tokenizer.eos_id, tokenizer.image_id):
        assert 0 <= index < tokenizer.vocab_size


def test_decoding_leaves_out_what_is_not_text(tokenizer):
    ids = tokenizer.encode("the cat")
    noise = [tokenizer.image_id, tokenizer.eos_id, tokenizer.vocab_size + 7, -1]
    assert tokenizer.decode([*ids, *noise]) == "the cat"


def test_a_text_never_encodes_to_special_ids(tokenizer):
    special = {tokenizer.image_id, tokenizer.eos_id}
    if len(tokenizer.role_ids["user"]) == 1:
        special |= {ids[0] for role, ids in tokenizer.role_ids.items() if role != "document"}
    for text in ("<image>", "<user> hi", "</s>", "<|endoftext|>"):
        assert not special & set(tokenizer.encode(text))


def test_half_of_a_surrogate_pair_is_an_error_of_the_text(tokenizer):
    with pytest.raises(ValueError, match=r"a text that is not Unicode: .*surrogates not allowed"):
        tokenizer.encode("the \ud83d cat")


def test_pickling_keeps_behaviour(tokenizer):
    copy = pickle.loads(pickle.dumps(tokenizer))
    for text in ("the cat", "<user><image>"):
        assert copy.encode(text) == tokenizer.encode(text)
    assert copy.fingerprint == tokenizer.fingerprint
    assert copy.role_ids == tokenizer.role_ids


def test_fixed_texts_are_remembered(tokenizer):
    first = tokenizer.encode_fixed("(0,1,2)")
    assert first == tuple(tokenizer.encode("(0,1,2)"))
    assert tokenizer.encode_fixed("(0,1,2)") is first


def test_role_tokens_are_used_if_the_tokenizer_has_them_all():
    tokenizer = HuggingFaceTokenizer(byte_level(["<|endoftext|>", *_ROLE_TOKENS]).to_str())
    assert tokenizer.role_ids == {
      "document": (), "user": (257,), "assistant": (258,), "system": (259,),
  }  # fmt: skip
    assert tokenizer.image_id == 260
    assert tokenizer.vocab_size == 261


def test_text_markers_and_an_added_image_id_otherwise():
    tokenizer = HuggingFaceTokenizer(byte_level().to_str())
    assert tokenizer.decode(tokenizer.role_ids["assistant"]) == ROLE_TEXTS["assistant"]
    assert tokenizer.role_ids["document"] == ()
    assert tokenizer.image_id == 257
    assert tokenizer.vocab_size == 258

    plain = SentencePieceTokenizer(sentencepiece_bytes())
    size = sentencepiece.SentencePieceProcessor(model_proto=sentencepiece_bytes()).vocab_size()
    assert plain.image_id == size
    assert plain.vocab_size == size + 1


def test_padding_falls_back_where_there_is_none():
    assert SentencePieceTokenizer(sentencepiece_bytes(pad_id=-1)).pad_id == 0  # the unknown piece
    tokenizer = HuggingFaceTokenizer(byte_level(["</s>"]).to_str())
    assert tokenizer.pad_id == tokenizer.eos_id


def test_a_tokenizer_without_an_end_is_refused():
    with pytest.raises(ValueError, match="end-of-sentence"):
        SentencePieceTokenizer(sentencepiece_bytes(eos_id=-1))
    with pytest.raises(ValueError, match="eos_token"):
        HuggingFaceTokenizer(byte_level([]).to_str())


def test_loading_by_path(tmp_path):
    (tmp_path / "a.model").write_bytes(sentencepiece_bytes())
    byte_level(["<fin>", "<blank>"]).save(str(tmp_path / "tokenizer.json"))
    config = {"eos_token": "<fin>", "pad_token": {"content": "<blank>"}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))

    assert isinstance(load_tokenizer(str(tmp_path / "a.model")), SentencePieceTokenizer)
    by_file = load_tokenizer(str(tmp_path / "tokenizer.json"))
    assert (by_file.eos_id, by_file.pad_id) == (256, 257)
    by_directory = load_tokenizer(str(tmp_path))
    assert by_directory.fingerprint == by_file.fingerprint
    assert load_tokenizer(str(tmp_path)) is by_directory


def test_loading_what_is_no_tokenizer(tmp_path):
    (tmp_path / "a.model").write_bytes(b"no model")
    (tmp_path / "b.json").write_text("{}")
    (tmp_path / "c.txt").write_text("")
    for name, message in (
        ("a.model", "Not a SentencePiece model"),
        ("b.json", "Not a Hugging Face"),
        ("c.txt", "expected .model or .json"),
        ("d.model", "No tokenizer"),
    ):
        with pytest.raises(ValueError, match=message):
            load_tokenizer(str(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("https://host/t.model", "read from https://...: expected 'nano', a path, or an address"),
        ("gs://bucket/t.model", r"needs gcsfs: run `pip install mm15_jax\[gcs\]`"),
    ],
)
def test_an_address_that_cannot_be_read_is_one_sentence(monkeypatch, name, words):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(ValueError, match=words):
        load_tokenizer(name)


def test_names_of_tokens_that_are_no_object_are_one_sentence(tmp_path):
    byte_level(["</s>"]).save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "special_tokens_map.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"special_tokens_map\.json holds \[1\]; expected an obj"):
        load_tokenizer(str(tmp_path))


def test_fingerprints_differ(nano):
    others = [
        SentencePieceTokenizer(sentencepiece_bytes()),
        HuggingFaceTokenizer(byte_level().to_str()),
        HuggingFaceTokenizer(byte_level(["<|endoftext|>", "<pad>"]).to_str()),
    ]
    assert len({t.fingerprint for t in (nano, *others)}) == 4


def test_the_shipped_nano_tokenizer():
    nano = load_tokenizer("nano")
    assert (nano.pad_id, nano.eos_id) == (0, 1)
    assert all(len(ids) == 1 for role, ids in nano.role_ids.items() if role != "document")
    assert nano.vocab_size <= 512
    text = "".join(map(chr, [10, *range(32, 127)]))
    assert nano.decode(nano.encode(text)) == text
    for indicator in ("(0,0,0)", "(1,4,4)", "<n>"):
        assert len(nano.encode(indicator)) == 1
    assert len(nano.encode("what is the word?")) < len("what is the word?") - 6
    assert len(nano.encode("tolumi")) == 6  # a made-up word: letter by letter


def test_a_tokenizer_in_a_bucket_is_the_same(gs_prefix):
    from importlib.resources import files

    from mm15_jax.data.storage import to_path

    model = (files("mm15_jax.inputs") / "assets" / "nano.model").read_bytes()
    to_path(f"{gs_prefix}/nano.model").write_bytes(model)
    assert (
        load_tokenizer(f"{gs_prefix}/nano.model").fingerprint == load_tokenizer("nano").fingerprint
    )
    with pytest.raises(ValueError, match="No tokenizer 'gs://"):
        load_tokenizer(f"{gs_prefix}/other.model")
