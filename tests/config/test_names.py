"""The nearest of what exists."""

from mm15_jax.config.names import nearest, unknown


def test_the_nearest_names_come_first_whatever_their_case():
    names = ["mm15_nano_sft", "mm15_nano_ui", "VQAv2"]
    assert nearest("MM15_NANO_SFT", names)[0] == "mm15_nano_sft"
    assert nearest("vqav2", names) == ["VQAv2"]
    assert nearest("zzz", names) and not nearest("zzz", [])
    assert str(unknown("experiment", "MM15_NANO_UI", names)).startswith(
        "unknown experiment 'MM15_NANO_UI'; did you mean 'mm15_nano_ui'"
    )
