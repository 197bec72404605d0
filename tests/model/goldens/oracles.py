"""What torch, transformers and timm compute from our seeded weights.

Runs where these are installed (torch, transformers 5, timm 0.9.8), without jax; the test's live
oracles and make_goldens.py call the same functions. Names and shapes of weights are ours; each
function carries them into the other library's modules.
"""

import sys
from unittest import mock

import numpy as np
import torch
from seeded import seeded_weights
from sizes import CLIP, CONNECTOR, LLAMA, MIXTRAL, POOLS, QWEN, RESIZES


def _tensor(array):
    return torch.from_numpy(np.ascontiguousarray(array))


def _load(module, tensors):
    missing, unexpected = module.load_state_dict(
        {name: _tensor(value) for name, value in tensors.items()}, strict=False
    )
    missing = [name for name in missing if "position_ids" not in name]
    assert not missing and not unexpected, (missing, unexpected)
    return module.eval()


def clip_vision():
    """transformers' CLIPVisionModel: last hidden state, and post-LN of its class token."""
    from transformers import CLIPVisionConfig, CLIPVisionModel

    w = seeded_weights(CLIP.shapes, CLIP.seed)
    width, patch = CLIP.width, CLIP.patch_size
    model = CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=width,
            intermediate_size=CLIP.mlp_width,
            num_hidden_layers=CLIP.layers,
            num_attention_heads=CLIP.heads,
            image_size=CLIP.resolution,
            patch_size=patch,
            hidden_act="quick_gelu",
            layer_norm_eps=1e-5,
            attn_implementation="eager",
        )
    )
    stem = w["stem/kernel"].reshape(patch, patch, 3, width).transpose(3, 2, 0, 1)
    state = {
        "embeddings.class_embedding": w["class_token"],
        "embeddings.patch_embedding.weight": stem,
        "embeddings.position_embedding.weight": w["position_table"],
    }
    for ours, theirs in (("pre_norm", "pre_layrnorm"), ("post_norm", "post_layernorm")):
        state[f"{theirs}.weight"], state[f"{theirs}.bias"] = w[f"{ours}/scale"], w[f"{ours}/bias"]
    names = {
        "attention/q": "self_attn.q_proj",
        "attention/k": "self_attn.k_proj",
        "attention/v": "self_attn.v_proj",
        "attention/o": "self_attn.out_proj",
        "up": "mlp.fc1",
        "down": "mlp.fc2",
    }
    for i in range(CLIP.layers):
        for ours, theirs in names.items():
            state[f"encoder.layers.{i}.{theirs}.weight"] = w[f"layers/{ours}/kernel"][i].T
            state[f"encoder.layers.{i}.{theirs}.bias"] = w[f"layers/{ours}/bias"][i]
        for n in (1, 2):
            norm = f"encoder.layers.{i}.layer_norm{n}"
            state[f"{norm}.weight"] = w[f"layers/norm{n}/scale"][i]
            state[f"{norm}.bias"] = w[f"layers/norm{n}/bias"][i]
    if any(name.startswith("vision_model.") for name in model.state_dict()):
        state = {f"vision_model.{name}": value for name, value in state.items()}
    _load(model, state)
    pixels = CLIP.tiles().astype(np.float32) / 255
    pixels = (pixels - CLIP.mean) / CLIP.std
    with torch.no_grad():
        out = model(pixel_values=_tensor(pixels.transpose(0, 3, 1, 2).astype(np.float32)))
    return {"hidden": out.last_hidden_state.numpy(), "pooled": out.pooler_output.numpy()}


def _causal_lm(sizes, config_class, model_class, extra):
    w = seeded_weights(sizes.shapes, sizes.seed)
    model = model_class(
        config_class(
            vocab_size=sizes.vocab_size,
            hidden_size=sizes.width,
            intermediate_size=sizes.ffn_width,
            num_hidden_layers=sizes.layers,
            num_attention_heads=sizes.heads,
            num_key_value_heads=sizes.kv_heads,
            head_dim=sizes.head_dim,
            rope_parameters={"rope_type": "default", "rope_theta": sizes.rope_theta},
            rms_norm_eps=1e-5,
            tie_word_embeddings=True,
            attn_implementation="eager",
            **extra,
        )
    )
    state = {
        "model.embed_tokens.weight": w["embedding"],
        "lm_head.weight": w["embedding"],
        "model.norm.weight": w["final_norm/scale"],
    }
    kernels = {
        "attention/q": "self_attn.q_proj",
        "attention/k": "self_attn.k_proj",
        "attention/v": "self_attn.v_proj",
        "attention/o": "self_attn.o_proj",
        "mlp/gate": "mlp.gate_proj",
        "mlp/up": "mlp.up_proj",
        "mlp/down": "mlp.down_proj",
    }
    scales = {"attention_norm": "input_layernorm", "mlp_norm": "post_attention_layernorm"}
    if sizes.qk_norm:
        scales |= {"attention/q_norm": "self_attn.q_norm", "attention/k_norm": "self_attn.k_norm"}
    for i in range(sizes.layers):
        for ours, theirs in kernels.items():
            state[f"model.layers.{i}.{theirs}.weight"] = w[f"layers/{ours}/kernel"][i].T
        for ours, theirs in scales.items():
            state[f"model.layers.{i}.{theirs}.weight"] = w[f"layers/{ours}/scale"][i]
    _load(model, state)
    with torch.no_grad():
        return {"logits": model(_tensor(sizes.tokens().astype(np.int64))).logits.numpy()}


def qwen3():
    """transformers' Qwen3ForCausalLM: QK-norm and grouped queries."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    return _causal_lm(QWEN, Qwen3Config, Qwen3ForCausalLM, {"attention_bias": False})


def llama():
    """transformers' LlamaForCausalLM: no QK-norm, another RoPE base."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return _causal_lm(LLAMA, LlamaConfig, LlamaForCausalLM, {"attention_bias": False})


def _timm_reg_stage():
    """timm's RegStage and LayerNorm2d.

    timm 0.9.8 imports torchvision for its data pipeline and for one class that a RegStage never
    uses; where torchvision is not installed, mocks take its place.
    """
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        for name in ("", ".datasets", ".ops", ".ops.misc", ".transforms", ".transforms.functional"):
            sys.modules[f"torchvision{name}"] = mock.MagicMock(__spec__=None)
    from timm.layers.norm import LayerNorm2d
    from timm.models.regnet import RegStage

    return RegStage, LayerNorm2d


def c_abstractor():
    """Honeybee's CAbstractor, assembled from timm's RegStage as its build_net and build_mlp do."""
    RegStage, LayerNorm2d = _timm_reg_stage()
    c = CONNECTOR
    w = seeded_weights(c.shapes, c.seed)

    def stage(number, channels_in):
        module = RegStage(
            c.depth,
            channels_in,
            c.hidden,
            stride=1,
            dilation=1,
            act_layer=torch.nn.SiLU,
            norm_layer=LayerNorm2d,
        )
        state = {}
        for i in range(c.depth):
            ours, theirs = f"stage{number}_block{i}", f"b{i + 1}"
            names = {"conv1": "conv1", "conv3": "conv3"}
            norms = {"norm1": "conv1", "norm2": "conv2", "norm3": "conv3"}
            if f"{ours}/shortcut/kernel" in w:
                names["shortcut"] = "downsample"
                norms["shortcut_norm"] = "downsample"
            for a, b in names.items():
                state[f"{theirs}.{b}.conv.weight"] = w[f"{ours}/{a}/kernel"].T[:, :, None, None]
            taps = w[f"{ours}/conv2/kernel"].T.reshape(c.hidden, 1, 3, 3)
            state[f"{theirs}.conv2.conv.weight"] = taps
            for a, b in norms.items():
                state[f"{theirs}.{b}.bn.weight"] = w[f"{ours}/{a}/scale"]
                state[f"{theirs}.{b}.bn.bias"] = w[f"{ours}/{a}/bias"]
            for a, b in (("down", "fc1"), ("up", "fc2")):
                state[f"{theirs}.se.{b}.weight"] = w[f"{ours}/se/{a}/kernel"].T[:, :, None, None]
                state[f"{theirs}.se.{b}.bias"] = w[f"{ours}/se/{a}/bias"]
        return _load(module, state)

    side = int(c.tokens**0.5)
    net = torch.nn.Sequential(
        stage(1, c.width), torch.nn.AdaptiveAvgPool2d((side, side)), stage(2, c.hidden)
    )
    linears = []
    for name in ("linear1", "linear2"):
        kernel = w[f"{name}/kernel"]
        layer = torch.nn.Linear(*kernel.shape)
        linears.append(_load(layer, {"weight": kernel.T, "bias": w[f"{name}/bias"]}))
    readout = torch.nn.Sequential(linears[0], torch.nn.SiLU(), linears[1])
    x = _tensor(c.features() + w["position_table"])
    with torch.no_grad():
        x = x.reshape(x.shape[0], c.grid, c.grid, c.width).permute(0, 3, 1, 2)
        out = readout(net(x).permute(0, 2, 3, 1).flatten(1, 2))
    return {"tokens": out.numpy()}


def pools():
    """torch's adaptive average pooling."""
    return {
        f"{size}_{out}": torch.nn.functional.adaptive_avg_pool2d(
            _tensor(grid.transpose(0, 3, 1, 2)), out
        )
        .numpy()
        .transpose(0, 2, 3, 1)
        for (size, out), grid in POOLS.items()
    }


def resizes():
    """torch's two bicubic interpolations."""
    results = {}
    for (size, out, antialias), grid in RESIZES.items():
        resized = torch.nn.functional.interpolate(
            _tensor(grid.transpose(2, 0, 1))[None],
            (out, out),
            mode="bicubic",
            align_corners=False,
            antialias=antialias,
        )
        results[f"{size}_{out}_{antialias}"] = resized[0].numpy().transpose(1, 2, 0)
    return results


def mixtral():
    """transformers' MixtralSparseMoeBlock: the same for each of our dispatches."""
    from transformers import MixtralConfig
    from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock

    w = seeded_weights(MIXTRAL.shapes, MIXTRAL.seed)
    block = MixtralSparseMoeBlock(
        MixtralConfig(
            hidden_size=MIXTRAL.width,
            intermediate_size=MIXTRAL.ffn_width,
            num_local_experts=MIXTRAL.experts,
            num_experts_per_tok=2,
            experts_implementation="eager",
        )
    )
    inward = np.concatenate([w["gate/kernel"], w["up/kernel"]], axis=2)
    state = {
        "gate.weight": w["router/kernel"].T,
        "experts.gate_up_proj": inward.swapaxes(1, 2),
        "experts.down_proj": w["down/kernel"].swapaxes(1, 2),
    }
    _load(block, state)
    with torch.no_grad():
        out = block(_tensor(MIXTRAL.states())).numpy()
    return {"capacity": out, "dropless": out}


ORACLES = {
    "mixtral": mixtral,
    "clip_vision": clip_vision,
    "qwen3": qwen3,
    "llama": llama,
    "c_abstractor": c_abstractor,
    "pools": pools,
    "resizes": resizes,
}
