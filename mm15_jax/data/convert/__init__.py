"""Converters of published formats: one module a format, which serves every data set that has it."""
