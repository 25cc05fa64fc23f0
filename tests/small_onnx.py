"""A network in ONNX's format, written without its package: onnxruntime reads, but can't write."""

from __future__ import annotations

import numpy as np

_FLOAT, _INT32 = 1, 6  # of onnx.TensorProto.DataType
_INT = 2  # of onnx.AttributeProto.AttributeType


def quadratic_network(n_categorical: int, weights: np.ndarray) -> bytes:
    """A model of ``x_cat`` ``(n, n_categorical)`` int32 and ``x_cont`` float32.

    Its output ``(n, m)`` is ``-(concat(x_cat, x_cont) @ weights) ** 2``, with ``weights``
    ``(n_columns, m)``.
    """
    n_columns, m = weights.shape
    nodes = [
        _node("Cast", ["x_cat"], "numbers", _integer("to", _FLOAT)),
        _node("Concat", ["numbers", "x_cont"], "row", _integer("axis", 1)),
        _node("MatMul", ["row", "weights"], "linear"),
        _node("Mul", ["linear", "linear"], "square"),
        _node("Neg", ["square"], "y"),
    ]
    graph = b"".join(_field(1, node) for node in nodes)
    graph += _field(2, "quadratic")
    graph += _field(5, _tensor("weights", weights))
    graph += _field(11, _value("x_cat", _INT32, n_categorical))
    graph += _field(11, _value("x_cont", _FLOAT, n_columns - n_categorical))
    graph += _field(12, _value("y", _FLOAT, m))
    return _field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 13))


def _integer(name: str, value: int) -> bytes:
    return _field(1, name) + _field(3, value) + _field(20, _INT)


def _node(kind: str, inputs: list[str], output: str, attribute: bytes = b"") -> bytes:
    node = b"".join(_field(1, name) for name in inputs) + _field(2, output) + _field(4, kind)
    return node + (_field(5, attribute) if attribute else b"")


def _tensor(name: str, values: np.ndarray) -> bytes:
    dims = b"".join(_field(1, int(n)) for n in values.shape)
    return dims + _field(2, _FLOAT) + _field(8, name) + _field(9, values.astype("<f4").tobytes())


def _value(name: str, kind: int, n_columns: int) -> bytes:
    shape = _field(1, _field(2, "n")) + _field(1, _field(1, n_columns))
    return _field(1, name) + _field(2, _field(1, _field(1, kind) + _field(2, shape)))


def _field(number: int, value: int | str | bytes) -> bytes:
    """One field of a protocol buffer: a number, or anything with a length."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
