"""What may stand in a command line, a manifest or a log: names, variables, and no secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Kubernetes gives pods names of at most 63: JobSet's, and "-slice-0-127-abcde" after it.
MAX_NAME = 40
_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_VARIABLE = re.compile(
    r"TOKEN(?!IZER)|SECRET|PASSWORD|PASSWD|CREDENTIAL|API_?KEY|ACCESS_?KEY", re.I
)
# Formats in which their issuers give credentials away.
_SECRETS = {
    "a key of Amazon": r"\b(AKIA|ASIA)[0-9A-Z]{16}\b",
    "a key of Google": r"\bAIza[0-9A-Za-z_\-]{35}\b",
    "a token of Google": r"\bya29\.[0-9A-Za-z_\-]{20,}",
    "a token of Hugging Face": r"\bhf_[A-Za-z0-9]{30,}",
    "a token of GitHub": r"\b(gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})",
    "a key of an API": r"\bsk-[A-Za-z0-9_\-]{20,}",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a password in an address": r"\w://[^/\s:@]+:[^/\s@]+@",
}
_WHERE = "docs/cloud.md says where credentials go"


def job_name(text: str) -> str:
    """A name that Slurm, Google Cloud and Kubernetes take, from an experiment's or a user's.

    Raises:
        ValueError: If it is none, with the nearest that is.
    """
    name = text.lower().replace("_", "-")
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME:
        near = re.sub(r"[^a-z0-9]+", "-", name).strip("-")
        near = re.sub(r"^[^a-z]+", "", near)[:MAX_NAME].rstrip("-") or "run"
        raise ValueError(
            f"the name {text!r} cannot be a job's: expected at most {MAX_NAME} lower-case letters, "
            f"digits and hyphens, a letter first; give --name {near}"
        )
    return name


def check_words(words: Iterable[str], title: str = "word {} of the command") -> None:
    """Refuses words that hold a credential, or cannot be on a command line.

    Args:
        words: What is looked at.
        title: What a word is called, with its number in the place of {}.

    Raises:
        ValueError: Without repeating the word.
    """
    for number, word in enumerate(words, 1):
        if "\0" in word or "\n" in word:
            raise ValueError(f"{title.format(number)} has a line break or a null in it")
        for kind, pattern in _SECRETS.items():
            if re.search(pattern, word):
                raise ValueError(
                    f"{title.format(number)} looks like {kind}: logs and manifests would show it; "
                    f"{_WHERE}"
                )


def check_options(words: Iterable[str], flag: str) -> None:
    """Refuses options of another program that hold a credential, or a variable called like one.

    Raises:
        ValueError: Without repeating the value.
    """
    words = list(words)
    check_words(words, f"{flag} number {{}}")
    for word in words:
        for key in re.findall(rf"({_VARIABLE.pattern})=", word.partition("=")[2]):
            if _SECRET_VARIABLE.search(key):
                raise ValueError(
                    f"{flag} would write the secret {key} into scripts and logs; {_WHERE}"
                )


def variables(assignments: Iterable[str]) -> dict[str, str]:
    """Environment variables of `KEY=VALUE` words.

    Raises:
        ValueError: For what is no assignment, or names a secret.
    """
    found = {}
    for number, text in enumerate(assignments, 1):
        key, equals, value = text.partition("=")
        if not equals or not _VARIABLE.fullmatch(key):
            raise ValueError(f"--env number {number} is not KEY=VALUE")
        if _SECRET_VARIABLE.search(key):
            raise ValueError(f"--env {key} would write a secret into scripts and logs; {_WHERE}")
        check_words([value], f"the value of --env {key}")
        found[key] = value
    return found
