"""The miniature: the same three stages at a scale that trains on two CPU cores.

As MM1.5 begins from CLIP and a language model, nano begins from a small encoder and text
decoder that have learned to read words: `mm15_nano_words`, from `mm15_nano_encoder` and
`mm15_nano_text`. The results of these three ship with the package.
"""

from collections.abc import Mapping

from mm15_jax.config import (
    CheckpointConfig,
    ConnectorConfig,
    DataConfig,
    DecoderConfig,
    EncoderConfig,
    EvalConfig,
    ExperimentConfig,
    InitFrom,
    InputsConfig,
    ModelConfig,
    MoEConfig,
    OptimizerConfig,
    SplittingConfig,
    TrainConfig,
    VideoConfig,
    replace_nested,
)

ENCODER = EncoderConfig(
    resolution=48,
    patch_size=8,
    width=96,
    layers=3,
    heads=3,
    mlp_width=384,
    class_token=False,
    activation="gelu",
    stem="conv",  # a linear stem learns glyphs more slowly at this size
    stem_channels=(24, 48),
    remat="none",
)
CONNECTOR = ConnectorConfig(tokens=16, hidden=96, depth=1)
DECODER = DecoderConfig(
    vocab_size=480,  # of the tokenizer's pieces, rounded up
    width=128,
    layers=3,
    ffn_width=352,
    heads=4,
    kv_heads=2,
    head_dim=32,
    rope_theta=1e4,
    remat="none",
)


def text() -> ExperimentConfig:
    """Pre-trains the text decoder alone."""
    return ExperimentConfig(
        name="mm15_nano_text",
        family="nano",
        stage="text",
        model=ModelConfig(ENCODER, CONNECTOR, DECODER),
        inputs=InputsConfig(
            sequence_length=256,
            tiles_per_row=0,
            splitting=SplittingConfig(mode="none", n_min=1, n_max=4),
        ),
        data=DataConfig(mixture="nano_text", window=512, decode_threads=1),
        optimizer=OptimizerConfig(
            name="muon", peak_learning_rate=0.01, warmup_steps=20, end_ratio=0.02, weight_decay=0.01
        ),
        train=TrainConfig(steps=1200, batch_rows=16),
        checkpoint=CheckpointConfig(every=200),
    )


def encoder() -> ExperimentConfig:
    """Pre-trains the encoder: a linear read-out names the glyph or object under each patch."""
    changes = {
        "name": "mm15_nano_encoder",
        "stage": "encoder",
        "model.connector": ConnectorConfig(kind="linear", tokens=36),
        "model.decoder.layers": 0,
        "inputs.sequence_length": 38 * 6,
        "inputs.tiles_per_row": 6,
        "inputs.objective": "dense_labels",
        "data.mixture": "nano_encoder",
        "train.batch_rows": 32,
    }
    return replace_nested(text(), changes)


def words() -> ExperimentConfig:
    """Words of one tile, from one letter to five: what CLIP has read before MM1.5 begins.

    Beside captions and text, so that objects and language are not forgotten meanwhile.
    """
    changes = {
        "name": "mm15_nano_words",
        "stage": "pretrain",
        "inputs.tiles_per_row": 12,
        "inputs.loss_balance": "example",  # a word has 2 loss tokens, a text 30
        "data.mixture": "nano_words",
        "train": TrainConfig(steps=1800, batch_rows=8),  # no word twice: they are a curriculum
        "init_from": (
            InitFrom("mm15_nano_encoder", ("encoder",)),
            InitFrom("mm15_nano_text", ("decoder",)),
        ),
    }
    return replace_nested(text(), changes)


def pretrain() -> ExperimentConfig:
    """Captions, interleaved documents and text, 50 : 10 : 40."""
    changes = {
        "name": "mm15_nano_pretrain",
        "inputs.tiles_per_row": 8,
        "inputs.loss_balance": "token",
        "data.mixture": "nano_pretrain",
        # Gently: at three times this rate captions undo what the shipped parts know, and reading
        # does not come any more.
        "optimizer.peak_learning_rate": 0.001,
        "train.steps": 120,
        "init_from": (InitFrom("mm15_nano_words"),),
    }
    return replace_nested(words(), changes)


def reading() -> ExperimentConfig:
    """Captions, and pages, strips, tables and charts in one tile each: where tables 1 to 3 start.

    From single words a few thousand examples of SFT do not learn to read pages, and a start from
    split pictures would favour its own way of splitting.
    """
    changes = {
        "name": "mm15_nano_reading",
        "inputs.tiles_per_row": 12,
        "data.mixture": "nano_reading",
        "optimizer.peak_learning_rate": 0.006,
        "optimizer.end_ratio": 0.3,  # the next stage reads on
        "train.steps": 450,
        "init_from": (InitFrom("mm15_nano_pretrain"),),
    }
    return replace_nested(pretrain(), changes)


def continual() -> ExperimentConfig:
    """Pages, strips, tables and charts whose print needs the sub-images."""
    changes = {
        "name": "mm15_nano_continual",
        "stage": "continual",
        "inputs.splitting": SplittingConfig(n_min=1, n_max=4),
        "data.mixture": "nano_continual",
        "optimizer.end_ratio": 0.02,
    }
    return replace_nested(reading(), changes)


def sft() -> ExperimentConfig:
    changes = {
        "name": "mm15_nano_sft",
        "stage": "sft",
        "inputs.loss_balance": "square",  # boxes have 18 loss tokens, most answers 2
        "data.mixture": "nano_sft_all",
        "optimizer.peak_learning_rate": 0.003,  # at 0.01 reading is forgotten first
        "train.steps": 1800,
        "init_from": (InitFrom("mm15_nano_continual"),),
        "eval": EvalConfig(
            benchmarks=("mini",),
            examples=2048,  # all of them, as differences of an ablation's rows are small
            max_new_tokens=32,
        ),
    }
    return replace_nested(continual(), changes)


def _member(
    stage: ExperimentConfig, family: str, own: tuple[str, ...], changes: Mapping[str, object]
) -> ExperimentConfig:
    """A stage as another family of the miniature has it.

    Args:
      stage: of `nano`.
      family: stands for `nano` in names.
      own: stages that the family trains itself; it starts from nano's where another is wanted.
      changes: of the decoder.
    """

    def start(given: InitFrom) -> InitFrom:
        is_own = given.experiment.removeprefix("mm15_nano_") in own
        name = given.experiment.replace("nano", family) if is_own else given.experiment
        return InitFrom(name, given.parts)

    named = {
        "name": stage.name.replace("nano", family),
        "family": family,
        "init_from": tuple(start(given) for given in stage.init_from),
    }
    return replace_nested(stage, {**named, **changes})


# Three layers, of which the last has experts. Dropless, as on CPU empty places cost as much as
# tokens do.
MOE = MoEConfig(experts=8, every=3, dispatch="dropless")


def _with_experts(stage: ExperimentConfig) -> ExperimentConfig:
    """A stage with experts in the decoder. The first upcycles the dense decoder."""
    own = ("pretrain", "continual")
    return _member(stage, "nano_moe", own, {"model.decoder.moe": MOE})


def moe_pretrain() -> ExperimentConfig:
    return _with_experts(pretrain())


def moe_continual() -> ExperimentConfig:
    return _with_experts(continual())


def moe_sft() -> ExperimentConfig:
    return _with_experts(sft())


# A quarter of the decoder's parameters, as the paper's sizes are about that far apart.
SMALL = {
    "model.decoder.width": 64,
    "model.decoder.ffn_width": 176,
    "model.decoder.heads": 2,
    "model.decoder.kv_heads": 1,
}


def _small(stage: ExperimentConfig) -> ExperimentConfig:
    """A stage with the small decoder, which is pre-trained on text as nano's is."""
    return _member(stage, "nano_small", ("text", "words", "pretrain", "continual"), SMALL)


def small_text() -> ExperimentConfig:
    return _small(text())


def small_words() -> ExperimentConfig:
    return _small(words())


def small_pretrain() -> ExperimentConfig:
    return _small(pretrain())


def small_continual() -> ExperimentConfig:
    return _small(continual())


def small_sft() -> ExperimentConfig:
    return _small(sft())


def video_sft() -> ExperimentConfig:
    """Clips: eight frames of 16 tokens, two clips a row."""
    changes = {
        "name": "mm15_nano_video_sft",
        "family": "nano_video",
        "inputs.sequence_length": 320,
        "inputs.tiles_per_row": 16,
        "inputs.video": VideoConfig(8),
        "data.mixture": "nano_video_sft",
        "train.steps": 800,
        "init_from": (InitFrom("mm15_nano_sft"),),
        "eval.benchmarks": ("mini_video",),
        "eval.examples": 256,
    }
    return replace_nested(sft(), changes)


def video_training_free() -> ExperimentConfig:
    """Asks the image model about clips as it is; nothing is trained."""
    changes: dict[str, object] = {
        "name": "mm15_nano_video_training_free",
        "stage": "evaluation",
    }
    return replace_nested(video_sft(), changes)


def ui() -> ExperimentConfig:
    """Screens, about three a row with their dialogues: three passes of `ui_1_epoch`."""
    changes = {
        "name": "mm15_nano_ui",
        "family": "nano_ui",
        "inputs.sequence_length": 544,
        "inputs.tiles_per_row": 18,
        "data.mixture": "nano_ui",
        "train": TrainConfig(steps=3600, batch_rows=4),
        "init_from": (InitFrom("mm15_nano_sft"),),
        "eval.benchmarks": ("mini_ui",),
    }
    return replace_nested(sft(), changes)


def ui_1_epoch() -> ExperimentConfig:
    """Table 12's ablation: a pass over the data, from SFT."""
    changes: dict[str, object] = {"name": "mm15_nano_ui_1_epoch", "train.steps": 1200}
    return replace_nested(ui(), changes)


def ui_1_epoch_without_sft() -> ExperimentConfig:
    """The same from what SFT started from."""
    changes: dict[str, object] = {
        "name": "mm15_nano_ui_1_epoch_without_sft",
        "init_from": sft().init_from,
    }
    return replace_nested(ui_1_epoch(), changes)


EXPERIMENTS = {
    f"mm15_nano_{function.__name__}": function
    for function in (
        encoder,
        text,
        words,
        pretrain,
        reading,
        continual,
        sft,
        moe_pretrain,
        moe_continual,
        moe_sft,
        small_text,
        small_words,
        small_pretrain,
        small_continual,
        small_sft,
        video_sft,
        video_training_free,
        ui,
        ui_1_epoch,
        ui_1_epoch_without_sft,
    )
}
