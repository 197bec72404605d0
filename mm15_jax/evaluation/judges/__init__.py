"""Answers scored by a language model: the prompts, the client, the transcripts, the aggregates."""

from mm15_jax.evaluation.judges.client import Judge, JudgeError, judge_from_environment
from mm15_jax.evaluation.judges.judging import judge_rows
from mm15_jax.evaluation.judges.protocols import PROTOCOLS

__all__ = ["PROTOCOLS", "Judge", "JudgeError", "judge_from_environment", "judge_rows"]
