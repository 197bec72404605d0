"""mm15_jax: an open JAX training codebase for the MM1.5 family of multimodal language models."""
