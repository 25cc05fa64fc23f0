"""Tensor functions recorded once and replayed: ``torch.func`` without its cost in Python.

A vmapped gradient of small networks spends most of its time in the transforms, not in the
arithmetic. Recorded, the same operations take about half as long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.fx.experimental.proxy_tensor import make_fx


def traced(function: Callable[..., Any], *example: Any) -> Callable[..., Any]:
    """The operations that ``function`` does on ``example``, as a function of the same shapes.

    Args:
        function: Of nested tuples and dicts of tensors; draws nothing at random, and takes the
            same path for all values.
        example: Arguments.
    """

    def plain(*arguments: Any) -> Any:  # make_fx can't count a method's arguments
        return function(*arguments)

    module = make_fx(plain)(*example)
    for node in list(module.graph.nodes):
        if node.target is torch.ops.aten.detach.default:
            node.replace_all_uses_with(node.args[0])
    module.graph.eliminate_dead_code()
    module.recompile()
    return module
