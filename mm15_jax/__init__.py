"""mm15_jax: an open JAX training codebase for the MM1.5 family of multimodal language models."""

import os

# Both are read when the libraries are first used, which may be anywhere, so they are said here.
# etils, and Orbax with it, would import TensorFlow for gs:// wherever it is installed; gcsfs does
# the same without.
os.environ.setdefault("EPATH_USE_TF", "false")
# gcsfs would ask another service for each bucket's type, and warn at every file where it may not.
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
