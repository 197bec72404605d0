"""transformers' side of generation.py: reads prompts a line, writes tokens and times a line.

Usage: python generation_peer.py FOLDER NEW_TOKENS, in the environment of transformers.sh
"""

import json
import os
import pathlib
import sys
import time

import numpy as np
import torch
import transformers
from transformers import Qwen3Config, Qwen3ForCausalLM

KERNELS = {
    "attention/q": "self_attn.q_proj",
    "attention/k": "self_attn.k_proj",
    "attention/v": "self_attn.v_proj",
    "attention/o": "self_attn.o_proj",
    "mlp/gate": "mlp.gate_proj",
    "mlp/up": "mlp.up_proj",
    "mlp/down": "mlp.down_proj",
}
SCALES = {
    "attention_norm": "input_layernorm",
    "mlp_norm": "post_attention_layernorm",
    "attention/q_norm": "self_attn.q_norm",
    "attention/k_norm": "self_attn.k_norm",
}


def load(folder: pathlib.Path) -> Qwen3ForCausalLM:
    """The model with the weights that are there."""
    sizes = json.loads((folder / "sizes.json").read_text())
    w = np.load(folder / "weights.npz")
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=sizes["vocab_size"],
            hidden_size=sizes["width"],
            intermediate_size=sizes["ffn_width"],
            num_hidden_layers=sizes["layers"],
            num_attention_heads=sizes["heads"],
            num_key_value_heads=sizes["kv_heads"],
            head_dim=sizes["head_dim"],
            rope_parameters={"rope_type": "default", "rope_theta": sizes["rope_theta"]},
            rms_norm_eps=sizes["norm_eps"],
            tie_word_embeddings=True,
            attention_bias=False,
            max_position_embeddings=4096,
            pad_token_id=0,
            eos_token_id=None,
            bos_token_id=None,
        )
    )
    state = {
        "model.embed_tokens.weight": w["embedding"],
        "lm_head.weight": w["embedding"],
        "model.norm.weight": w["final_norm/scale"],
    }
    for i in range(sizes["layers"]):
        for ours, theirs in KERNELS.items():
            state[f"model.layers.{i}.{theirs}.weight"] = w[f"layers/{ours}/kernel"][i].T
        for ours, theirs in SCALES.items():
            state[f"model.layers.{i}.{theirs}.weight"] = w[f"layers/{ours}/scale"][i]
    tensors = {name: torch.from_numpy(np.ascontiguousarray(x)) for name, x in state.items()}
    model.load_state_dict(tensors, strict=True)
    return model.eval()


def main(folder: str, new_tokens: str) -> None:
    """Answers until its input ends."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    model = load(pathlib.Path(folder))
    versions = {"transformers": transformers.__version__, "torch": torch.__version__}
    print(json.dumps(versions), flush=True)
    for line in sys.stdin:
        prompts = torch.tensor(json.loads(line))
        began, cpu = time.perf_counter(), time.process_time()
        with torch.inference_mode():
            found = model.generate(
                prompts,
                attention_mask=torch.ones_like(prompts),
                max_new_tokens=int(new_tokens),
                do_sample=False,
                suppress_tokens=[0, 2],  # padding and pictures, which ours never writes
            )
        spent = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu}
        tokens = found[:, prompts.shape[1] :].tolist()
        print(json.dumps({**spent, "tokens": tokens}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
