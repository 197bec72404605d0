"""Every golden text equals what the code says now."""

import pytest

from tests.goldens.renew import FOLDER, texts

TEXTS = texts()


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_golden_text_is_current(name):
    assert (FOLDER / name).read_text() == TEXTS[name], "renew with `make goldens`"


def test_no_golden_text_is_left_over():
    present = {str(path.relative_to(FOLDER)) for path in FOLDER.glob("*/*.txt")}
    assert present == set(TEXTS)
