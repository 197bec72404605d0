"""mm15_jax: an open JAX training codebase for the MM1.5 family of multimodal language models."""

import os

# etils, and Orbax with it, would import TensorFlow for gs:// and s3:// wherever it is installed;
# gcsfs and s3fs do the same without. Read at the first use of a path, so it is said here.
os.environ.setdefault("EPATH_USE_TF", "false")
