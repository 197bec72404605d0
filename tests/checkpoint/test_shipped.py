import numpy as np

from mm15_jax.checkpoint import shipped


def test_parts_come_back_rounded_to_half_precision_with_their_metadata(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "_FOLDER", tmp_path)
    params = {"encoder": {"layers": {"kernel": np.linspace(-2, 2, 12, dtype=np.float32)}}}
    assert not shipped.is_shipped("some_encoder")
    path = shipped.path_of("some_encoder")
    shipped.save(params, path, {"command": "mm15 train some_encoder", "seed": 0})
    assert shipped.is_shipped("some_encoder")
    loaded = shipped.load("some_encoder")
    assert set(loaded) == {"encoder"} and set(loaded["encoder"]) == {"layers"}
    kernel = loaded["encoder"]["layers"]["kernel"]
    assert kernel.dtype == np.float32
    np.testing.assert_array_equal(kernel, params["encoder"]["layers"]["kernel"].astype(np.float16))
    assert shipped.metadata("some_encoder") == {"command": "mm15 train some_encoder", "seed": 0}
