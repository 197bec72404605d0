import pytest

from tests.data.open_corpus import corpus_fixtures


@pytest.fixture(scope="package")
def corpus(tmp_path_factory):
    """The folder of a small corpus in the packages' own layout."""
    return corpus_fixtures.make_corpus(tmp_path_factory.mktemp("corpus"))
