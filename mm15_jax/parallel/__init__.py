"""Devices to meshes, and start-up of JAX."""
