import re

import pytest

from mm15_jax.launch import names

SECRETS = [
    "AKIA" + "A1" * 8,
    "AIza" + "x" * 35,
    "ya29." + "a" * 30,
    "hf_" + "a" * 34,
    "ghp_" + "a" * 36,
    "sk-" + "a" * 40,
    "https://me:secret@host/path",
    "-----BEGIN RSA PRIVATE KEY-----",
]


def test_an_experiments_name_becomes_a_jobs():
    assert names.job_name("mm15_3b_sft") == "mm15-3b-sft"


@pytest.mark.parametrize("text", ["", "-a", "a-", "3b", "a b", "a;b", "a/b", "$(a)", "x" * 41, "ä"])
def test_a_name_that_no_target_takes_is_refused_with_one_that_they_do(text):
    with pytest.raises(ValueError, match="give --name") as error:
        names.job_name(text)
    near = re.search(r"give --name (\S+)", str(error.value))[1]
    assert names.job_name(near) == near


@pytest.mark.parametrize("secret", SECRETS)
def test_a_credential_is_refused_and_not_repeated(secret):
    with pytest.raises(ValueError, match="word 2") as error:
        names.check_words(["train", f"--set=a={secret}"])
    assert secret not in str(error.value)
    with pytest.raises(ValueError, match="the value of --env A looks like") as error:
        names.variables([f"A={secret}"])
    assert secret not in str(error.value)


@pytest.mark.parametrize("key", ["OPENAI_API_KEY", "HF_TOKEN", "DB_PASSWORD", "aws_secret"])
def test_a_variable_that_names_a_secret_is_refused(key):
    with pytest.raises(ValueError, match=r"docs/cloud\.md"):
        names.variables([f"{key}=value"])


@pytest.mark.parametrize("text", ["A", "=b", "1A=b", "A B=c", "A=b\nc"])
def test_what_is_no_assignment_is_refused(text):
    with pytest.raises(ValueError):
        names.variables([text])


def test_ordinary_words_and_variables_pass():
    names.check_words(["train", "mm15_3b_sft", "--run_dir", "gs://bucket/a@b", "--set", "a.b=1e-5"])
    assert names.variables(["A=b=c d", "TOKENIZER=x"]) == {"A": "b=c d", "TOKENIZER": "x"}
