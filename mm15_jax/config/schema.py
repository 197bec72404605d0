"""What an experiment is: frozen dataclasses, one per part of the house.

Standard library only, so that experiments, launchers and golden tests import no JAX. A field's
comment says why it exists or where its value comes from; section numbers are the MM1.5 paper's.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from mm15_jax.config.names import unknown

# "evaluation" trains nothing: a run of the experiment in `init_from` is asked as it is.
STAGES = ("encoder", "text", "pretrain", "continual", "sft", "evaluation")

# What a layer keeps for the backward pass, from the least memory to the most; "offload_context"
# keeps as "context" does, in the host's memory. Their meaning is in model/remat.py.
REMAT_POLICIES = (
    "full",
    "offload_context",
    "context",
    "attention",
    "matmuls",
    "activations",
    "none",
)


@dataclass(frozen=True)
class EncoderConfig:
    """A vision transformer over square tiles."""

    resolution: int = 378  # side of a tile in pixels; the position table has its size
    patch_size: int = 14
    width: int = 1280
    layers: int = 32
    heads: int = 16
    mlp_width: int = 5120
    class_token: bool = True  # CLIP has one; the connector never sees it
    activation: str = "quick_gelu"  # "quick_gelu" (CLIP), "gelu"
    stem: str = "linear"  # "linear": one matmul a patch (CLIP); "conv": 3x3 stride-2 convolutions
    stem_channels: tuple[int, ...] = ()  # conv stem: channels of each convolution but the last
    norm_eps: float = 1e-5
    remat: str = "full"  # one of REMAT_POLICIES; "full": recompute a layer in the backward pass

    @property
    def grid(self) -> int:
        """Patches along one side of a tile."""
        return self.resolution // self.patch_size


@dataclass(frozen=True)
class ConnectorConfig:
    """From patch features to the decoder's image tokens."""

    kind: str = "c_abstractor"  # "c_abstractor" (Honeybee); "linear": one token a patch
    tokens: int = 144  # image tokens a tile, a square number (section 3.5; 81 in table 1)
    hidden: int = 1024
    depth: int = 3  # RegStage blocks before, and again after, the pooling


@dataclass(frozen=True)
class MoEConfig:
    """Experts in place of a decoder layer's FFN (section 4; sources in BUILD_NOTES.md)."""

    experts: int = 0  # 0: a dense decoder; the paper has 64
    top_k: int = 2  # experts of each token
    every: int = 2  # the last layer of each group of so many has experts
    # "capacity": an expert takes a fixed number of a row's tokens; "dropless": all that come.
    dispatch: str = "capacity"
    # Places of an expert, over its fair share of a row, tokens x top_k / experts. The 2.0 of GShard
    # and AXLearn is over tokens / experts, so with two experts a token it is 1.0 here.
    capacity_factor: float = 1.0
    # dropless with experts on several devices: places for the tokens that go to one device, over
    # the fair share; what does not fit is dropped. 0: room for the worst case, nothing is dropped.
    buffer_factor: float = 0.0
    load_balance_weight: float = 0.01  # the paper's
    router_z_weight: float = 0.001  # the paper's


@dataclass(frozen=True)
class DecoderConfig:
    """A causal transformer: RMSNorm, grouped-query attention with QK-norm, RoPE, SwiGLU."""

    vocab_size: int = 49_152
    width: int = 3072
    layers: int = 26  # 0: no layers, features go straight to the output embedding
    ffn_width: int = 8064
    heads: int = 24
    kv_heads: int = 8
    head_dim: int = 128
    rope_theta: float = 5e5
    norm_eps: float = 1e-5
    qk_norm: bool = True
    tie_embeddings: bool = True
    remat: str = "full"  # as in the encoder
    moe: MoEConfig = MoEConfig()


@dataclass(frozen=True)
class ModelConfig:
    """The whole network: tiles through encoder and connector into the decoder's sequence."""

    encoder: EncoderConfig = EncoderConfig()
    connector: ConnectorConfig = ConnectorConfig()
    decoder: DecoderConfig = DecoderConfig()


@dataclass(frozen=True)
class SplittingConfig:
    """How one picture becomes sub-images (section 3.5, figure 11)."""

    mode: str = "dynamic"  # "none": one tile an image; "static": a fixed grid; "dynamic"
    n_min: int = 4  # dynamic: fewest sub-images of a candidate grid
    n_max: int = 9  # dynamic: most sub-images of a candidate grid
    static_grid: tuple[int, int] = (2, 2)  # static: (rows, columns)
    policy: str = "equation"  # "equation": the paper's literal one; "smallest_cover"
    overview: str = "after"  # where the whole image at tile size goes: "after", "before", "none"
    indicator: str = "index"  # position of a sub-image as text: "none", "index", "seps"
    max_split_images: int = 2  # an example with more images than this is not split (section 3.5)


@dataclass(frozen=True)
class VideoConfig:
    """How a clip becomes tiles: frames taken uniformly, one tile each (section 5)."""

    frames: int = 24  # N, most frames of a clip; 24 x 144 tokens leave 640 of 4096 to the dialogue


@dataclass(frozen=True)
class InputsConfig:
    """From an example to one row of static shapes."""

    tokenizer: str = (
        "nano"  # "nano" (shipped), or the path of a SentencePiece .model / tokenizer.json
    )
    sequence_length: int = 4096  # S, tokens a row, image tokens included
    tiles_per_row: int = 20  # N, tiles a row; about 1.1 x the mixture's tiles per S tokens
    splitting: SplittingConfig = SplittingConfig()
    video: VideoConfig = VideoConfig()
    objective: str = "next_token"  # "dense_labels": text labels the patches, encoder pretraining
    # What an example of n loss tokens weighs: "token" n, "square" sqrt(n), "example" 1.
    loss_balance: str = "token"


@dataclass(frozen=True)
class DataConfig:
    """Which data sets are mixed, and how they are read; none of it changes a single example."""

    mixture: str = "sft_all"  # a name of experiments/mixtures.py
    allow_missing: bool = False  # leave out data sets that are not prepared, with their weight
    weigh_by: str = "examples"  # what the mixture's weights count: "examples", "tokens"
    # "planned": rows are planned from an index of lengths. "late": lengths become known as examples
    # are read (streams); fills worse, and a run that goes on reads again all it has read.
    packing: str = "planned"
    # Data sets that are read from their published files as they come and need not be prepared, each
    # NAME=FOLDER_OR_URL; nobody knows their lengths, so they go with packing="late".
    streams: tuple[str, ...] = ()
    window: int = 1024  # examples planned together by the packer; larger fills better
    # Plain text longer than a row: "split" into pieces, "drop". Dialogues and pages with pictures
    # that are longer are always dropped.
    long_documents: str = "split"
    # A run that goes on with other data sets or weights than it had: "stop" refuses it, "continue"
    # goes on with them from where each data set was read to, and records it.
    on_change: str = "stop"
    decode_threads: int = 0  # 0: one for each CPU that the process may use, up to sixteen
    prefetch: int = 4  # batches ready in host memory
    max_bad_fraction: float = 0.001  # records that may be skipped before the run stops

    def stream_sources(self) -> dict[str, str]:
        """Where each of `streams` is, by its name."""
        pairs = (stream.partition("=") for stream in self.streams)
        return {name.strip(): where.strip() for name, _, where in pairs}


@dataclass(frozen=True)
class OptimizerConfig:
    """Update rule, schedule, and which parameters it leaves alone."""

    name: str = "adafactor"  # "adafactor" (the paper's), "adamw", "muon" (nano scale)
    peak_learning_rate: float = 1e-5
    warmup_steps: int = 0
    schedule: str = "cosine"  # "cosine", "constant", "wsd" (linear decay over the last 40%)
    end_ratio: float = 0.0  # last learning rate as a share of the peak
    weight_decay: float = 0.1  # decoupled: multiplied by the learning rate (MM1: 0.1 lr)
    clip_norm: float = 1.0
    b1: float = 0.9
    b2: float = 0.95
    frozen: tuple[str, ...] = ()  # path prefixes that do not train, such as "encoder"
    # Keep the rule's state of matrices in the host's memory; it visits the device for an update.
    offload: bool = False


@dataclass(frozen=True)
class TrainConfig:
    """Length and batch of a stage, and the seed of everything random in it."""

    steps: int = 1000
    batch_rows: int = 256  # rows of the global batch
    seed: int = 0
    log_every: int = 10
    compute_dtype: str = "auto"  # "auto": bfloat16, but float32 on CPU, where it is faster
    accumulation: int = 1  # parts that the batch's rows run in, one after the other
    loss_chunk: int = 2048  # tokens of a device whose logits exist at once; 0: all


@dataclass(frozen=True)
class CheckpointConfig:
    """How often a run is saved, in steps, and how many saves stay on disk."""

    every: int = 1000
    keep: int = 2


@dataclass(frozen=True)
class DuringConfig:
    """Evaluation while a stage trains; its scores stand beside the losses in metrics.jsonl."""

    every: int = 0  # steps from one evaluation to the next, and at the last step; 0: none
    benchmarks: tuple[str, ...] = ()  # none: the experiment's
    examples: int = 64  # of each benchmark
    split: str = "validation"  # "test" would choose a checkpoint by what it is judged by
    keep_best: str = ""  # the score by which the best parameters are kept: "mini_word_qa", or of a
    # suite "mini/text_rich", "mini/mmbase"


MOST_NEW_TOKENS = 65_536  # of an answer; sixteen of the paper's rows, and the cache is as long


@dataclass(frozen=True)
class EvalConfig:
    """Held-out evaluation; splitting at inference may differ from training (section 3.5)."""

    benchmarks: tuple[str, ...] = ()
    examples: int = 0  # held-out examples of each benchmark, the first ones; 0: all
    batch_size: int = 64
    max_new_tokens: int = 64
    n_min: int = 0  # fewest sub-images of a grid; 0: as in training
    n_max: int = 0  # most sub-images of a grid; 0: as in training
    indicator: str = ""  # of a sub-image's position: none, index or seps; "": as in training
    during: DuringConfig = DuringConfig()


MESH_AXES = ("slice", "data", "fsdp", "expert", "tensor")


@dataclass(frozen=True)
class MeshConfig:
    """Devices along each axis; 0 takes what the other axes leave."""

    slice: int = 1  # slices of several pods, over the slow network: only gradients cross it
    data: int = 0  # copies of the parameters
    fsdp: int = 1  # parts of the parameters and of the optimizer state, gathered layer by layer
    expert: int = 1  # groups of experts; elsewhere it divides as fsdp does
    tensor: int = 1  # heads and hidden widths; all others divide rows
    strategy: str = "fsdp"  # which rules say what the axes divide: `parallel.rules.RULES`


@dataclass(frozen=True)
class HardwareMesh:
    """The mesh of an experiment on one kind of hardware."""

    topology: str  # chip and shape of a slice, such as "v5p:4x4x8"
    slices: int
    mesh: MeshConfig
    settings: tuple[str, ...] = ()  # that go with it, as for --set: "train.accumulation=2"


@dataclass(frozen=True)
class InitFrom:
    """Parameters that a run starts with: another experiment's, whole or in parts."""

    experiment: str
    parts: tuple[str, ...] = ("encoder", "connector", "decoder")


@dataclass(frozen=True)
class ExperimentConfig:
    """One stage of training, whole: what `mm15 show` prints and a run directory keeps."""

    name: str
    family: str  # "nano", "1b", "3b", "7b", "30b"
    stage: str  # one of STAGES
    model: ModelConfig = ModelConfig()
    inputs: InputsConfig = InputsConfig()
    data: DataConfig = DataConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    train: TrainConfig = TrainConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    eval: EvalConfig = EvalConfig()
    mesh: MeshConfig = MeshConfig()
    meshes: tuple[HardwareMesh, ...] = ()  # by hardware, as `mm15 plan --search --update` found
    init_from: tuple[InitFrom, ...] = ()
    # Keys that `--set` named. Said of a config, not of the experiment: no field, so that it is
    # neither compared nor written; `dataclasses.replace` hands it on.
    given: dataclasses.InitVar[tuple[str, ...]] = ()

    def __post_init__(self, given: tuple[str, ...]):
        object.__setattr__(self, "given", tuple(given))

    def was_given(self, key: str) -> bool:
        """Whether `--set` named a field, or one of a group, if only to set it to what it was."""
        return any(name == key or name.startswith(f"{key}.") for name in vars(self)["given"])


def replace_nested(config, changes: dict[str, object]):
    """Copy of a config with dotted fields changed: `{"optimizer.peak_learning_rate": 1e-4}`.

    Raises:
      ValueError: a field that it does not have.
    """
    fields = [field.name for field in dataclasses.fields(config)]
    for key, value in changes.items():
        head, _, rest = key.partition(".")
        if head not in fields:
            raise unknown(f"field of {type(config).__name__}:", head, fields)
        new = replace_nested(getattr(config, head), {rest: value}) if rest else value
        config = dataclasses.replace(config, **{head: new})
    return config
