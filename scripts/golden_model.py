#!/usr/bin/env python3
"""Writes tests/golden/model_tiny.safetensors: losses, states and gradients of a tiny model by PyTorch in float64.

  make build/release/tests/train/test_golden_model
  MOTET_GOLDEN_DUMP=/tmp/dump.safetensors build/release/tests/train/test_golden_model   # weights and inputs, from seeds
  python scripts/golden_model.py /tmp/dump.safetensors tests/golden/model_tiny.safetensors
"""
import datetime
import os
import platform
import sys

import torch
from safetensors.torch import save_file

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import motet_torch  # noqa: E402

SAMPLES = 8
torch.manual_seed(0)
weights, inputs = motet_torch.load(sys.argv[1], torch.float64)
parameters = motet_torch.parameters_of(weights)
objective, fields, attributes, states = motet_torch.forward(weights, inputs, heads=2, text_heads=2, attribute_weight=0.1)
objective.backward()
golden = {"states": states.detach(), "losses.fields": fields.detach(), "losses.attributes": attributes.detach()}
for name, tensor in parameters.items():
    flat = tensor.grad.reshape(-1)
    picked = torch.tensor([flat.numel() * i // SAMPLES for i in range(SAMPLES)])
    golden["grad." + name] = torch.cat([flat.norm().reshape(1), flat[picked]])
golden = {name: tensor.to(torch.float32).contiguous() for name, tensor in golden.items()}
save_file(golden, sys.argv[2], metadata={
    "written by": "scripts/golden_model.py", "date": datetime.date.today().isoformat(),
    "versions": f"python {platform.python_version()}, torch {torch.__version__}", "precision": "float64, stored as f32"})
print(f"{sys.argv[2]}: objective {objective.item():.6f}, {len(golden)} tensors")
