"""Weights as raw bytes and a layout that says what they are; nothing is ever unpickled."""

from __future__ import annotations

import json
import math
import sys

import torch

from optwise.core.layout import Leaves

_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.complex128),
        *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
    )
}


def pack_leaves(leaves: Leaves) -> tuple[str, bytes]:
    """Layout (JSON: name, shape and dtype of each leaf in order) and the little-endian bytes of all leaves.

    Example:
        >>> layout, data = pack_leaves({"w": torch.tensor([1.0, -0.0])})
        >>> layout, len(data), unpack_leaves(layout, data)
        ('[["w",[2],"float32"]]', 8, {'w': tensor([1., -0.])})
    """
    assert sys.byteorder == "little", "torch has no big-endian build"
    tensors = {name: leaf.detach().cpu().contiguous() for name, leaf in leaves.items()}
    layout = [[name, list(t.shape), str(t.dtype).removeprefix("torch.")] for name, t in tensors.items()]
    data = b"".join(t.reshape(-1).view(torch.uint8).numpy().tobytes() for t in tensors.values())
    return json.dumps(layout, separators=(",", ":"), ensure_ascii=False), data


def unpack_leaves(layout: str, data: bytes) -> Leaves:
    """The leaves by name, each with memory of its own."""
    leaves, place = {}, 0
    for name, shape, kind in json.loads(layout):
        dtype = _DTYPES[kind]
        length = math.prod(shape) * dtype.itemsize
        leaf = torch.empty(shape, dtype=dtype)
        if length:
            leaf.copy_(torch.frombuffer(bytearray(data[place : place + length]), dtype=dtype).reshape(shape))
        leaves[name] = leaf
        place += length
    return leaves
