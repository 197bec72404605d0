"""From examples to arrays: tokens, tiles, image splitting, coordinates (numpy only, no JAX)."""
