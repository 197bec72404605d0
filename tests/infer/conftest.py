import pytest

from tests.infer import small


@pytest.fixture(scope="session")
def tokenizer():
    return small.LetterTokenizer()


@pytest.fixture(scope="session")
def model():
    return small.model()


@pytest.fixture(scope="session")
def inputs():
    return small.inputs()


@pytest.fixture(scope="session")
def params(model):
    return small.params(model)


@pytest.fixture(scope="session")
def make_picture():
    return small.random_picture


@pytest.fixture(scope="session")
def examples():
    return small.examples()
