"""From parameters to answers: batched generation with a key/value cache, and drawn boxes."""
