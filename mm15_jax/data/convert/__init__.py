"""Converters of published formats: one module a format, which serves every data set that has it."""

from types import ModuleType

# Each has `PREPARATIONS`, by which the registry finds its data sets.
MODULES: tuple[ModuleType, ...] = ()
