"""Artifacts on disk: tensors and a description in one safetensors file, data only.

The header's metadata has one entry, ``METADATA_KEY``: a JSON object (sorted, ASCII) of name and
version of the format, the digest, and the description. What the tensors mean, others know.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

import numpy as np

from warmstart.durable import write_atomically
from warmstart.errors import ArtifactError

FORMAT: Final = "warmstart-artifact"
VERSION: Final = 1
# One entry, because safetensors writes several in any order: same content, same bytes.
METADATA_KEY: Final = "warmstart"

_DTYPES: Final = {
    name: np.dtype(name) for name in ("float16", "float32", "float64", "int32", "uint8")
}
_SAFETENSORS_DTYPES: Final = ("F16", "F32", "F64", "I32", "U8")
_LONGEST_HEADER: Final = 100_000_000  # bytes; the limit of safetensors


@dataclass(frozen=True)
class Artifact:
    """What an artifact holds.

    Attributes:
        description: JSON values.
        tensors: Read-only arrays of float16, float32, float64, int32 or uint8.
        digest: SHA-256 of description and tensors, in hexadecimal: it identifies the artifact.
    """

    description: Mapping[str, Any]
    tensors: Mapping[str, np.ndarray]
    digest: str


def write_artifact(
    path: str | os.PathLike[str],
    tensors: Mapping[str, np.ndarray],
    description: Mapping[str, Any],
) -> str:
    """Write an artifact in place of what was at ``path``: completely, or not at all.

    Of several that write at once, one wins. The same content gives the same bytes.

    Args:
        path: The file; its directory must exist.
        tensors: Arrays of float16, float32, float64, int32 or uint8, by name; NaN and infinity
            are allowed.
        description: What JSON can hold, without NaN and infinity. Tuples come back as lists.

    Returns:
        The digest.

    Raises:
        ArtifactError: If the content is of another kind, or the file can't be written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save

    arrays = _plain_tensors(tensors)
    plain = _plain_description(description)
    digest = _digest(plain, arrays)
    entry = {"digest": digest, "format": FORMAT, "version": VERSION, "description": plain}
    metadata = _json(entry)
    if len(metadata) > _LONGEST_HEADER // 4:  # escaping may double it, and tensors need room
        raise ArtifactError(
            f"A description of {len(metadata)} characters given; expected at most "
            f"{_LONGEST_HEADER // 4}: put what is long into tensors."
        )
    try:
        write_atomically(Path(path), save(arrays, {METADATA_KEY: metadata}), fsync=True)
    except (OSError, ValueError, SafetensorError) as error:
        raise ArtifactError(f"The artifact {str(path)!r} can't be written: {error}.") from error
    return digest


def read_artifact(path: str | os.PathLike[str]) -> Artifact:
    """Read an artifact, and verify every byte of it.

    Raises:
        ArtifactError: If there is none at ``path``, or it is damaged, foreign, or of a newer
            format.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            # A foreign file is known by its header, before gigabytes are read.
            prefix, header = _read_header(path, file)
            entry = _entry(path, header)
            data = prefix + file.read()
    except FileNotFoundError as error:
        raise ArtifactError(
            f"path={str(path)!r} given, where there is no file; expected an artifact."
        ) from error
    except (OSError, ValueError) as error:  # ValueError: no file can have such a name
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactError(f"The artifact {str(path)!r} can't be read: {error}.") from error
    tensors = _tensors(path, header, data)
    if _digest(entry["description"], tensors) != entry["digest"]:
        _fail(path, "its checksum does not fit")
    return Artifact(entry["description"], tensors, entry["digest"])


def _plain_tensors(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Contiguous little-endian arrays, sorted by name."""
    for name, tensor in tensors.items():
        if type(name) is not str or not name or name.startswith("__") or not name.isprintable():
            raise ArtifactError(
                f"A tensor named {name!r} given; expected printable text without '__' in front."
            )
        if not isinstance(tensor, np.ndarray) or tensor.dtype.name not in _DTYPES:
            kind = getattr(tensor, "dtype", type(tensor).__name__)
            raise ArtifactError(
                f"Tensor {name!r} of {kind} given; expected an array of one of {list(_DTYPES)}."
            )
    return {
        name: np.asarray(tensors[name], _DTYPES[tensors[name].dtype.name].newbyteorder("<"), "C")
        for name in sorted(tensors)
    }


def _plain_description(description: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(description, Mapping):
        raise ArtifactError(
            f"description={str(description)[:200]!r} given; expected a mapping of JSON values."
        )
    try:
        plain: dict[str, Any] = json.loads(_json(dict(description)))
    except (TypeError, ValueError, RecursionError) as error:
        raise ArtifactError(
            f"A description given that JSON can't hold ({error}); expected mappings with text "
            "keys, lists, text, finite numbers, booleans and None."
        ) from error
    return plain


def _json(content: object) -> str:
    return json.dumps(content, sort_keys=True, allow_nan=False, separators=(",", ":"))


def _digest(description: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> str:
    names = sorted(tensors)
    layout = [[name, tensors[name].dtype.name, list(tensors[name].shape)] for name in names]
    # What follows the first part has lengths that it tells, so no two contents read the same.
    content = hashlib.sha256(_json([FORMAT, VERSION, description, layout]).encode())
    for name in names:
        content.update(tensors[name].tobytes())
    return content.hexdigest()


def _read_header(path: Path, file: BinaryIO) -> tuple[bytes, dict[str, Any]]:
    """The bytes up to the end of the header, and the header."""
    prefix = file.read(8)
    size = int.from_bytes(prefix, "little")
    if len(prefix) < 8:
        _fail(path, f"it has only {len(prefix)} bytes")
    if size > _LONGEST_HEADER:
        _fail(path, "it is no safetensors file")
    prefix += file.read(size)
    if len(prefix) < 8 + size:
        _fail(path, "it is no safetensors file, or cut off")
    return prefix, _parse(path, prefix[8:])


def _entry(path: Path, header: dict[str, Any]) -> dict[str, Any]:
    """The format's own metadata, all fields of the right type."""
    metadata = header.get("__metadata__")
    text = metadata.get(METADATA_KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        _fail(path, "it is a safetensors file of other software")
    entry = _parse(path, text)
    version = entry.get("version")
    if entry.get("format") != FORMAT or type(version) is not int or version < 1:
        _fail(path, f"its format is {entry.get('format')!r} {version!r}")
    if version > VERSION:
        raise ArtifactError(
            f"path={str(path)!r} given, an artifact of format version {version}; this version of "
            f"warmstart reads up to {VERSION}: upgrade warmstart."
        )
    if not isinstance(entry.get("description"), dict) or not isinstance(entry.get("digest"), str):
        _fail(path, "its header lacks the description or the checksum")
    try:
        unchanged = _json(entry) == text
    except (ValueError, RecursionError):
        unchanged = False
    if not unchanged:  # such as 1E5 in place of 1e5, which the checksum can't see
        _fail(path, "its description is damaged")
    return entry


def _tensors(path: Path, header: dict[str, Any], data: bytes) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    for name, tensor in header.items():
        dtype = tensor.get("dtype") if isinstance(tensor, dict) else None
        if name != "__metadata__" and dtype not in _SAFETENSORS_DTYPES:
            _fail(path, f"its tensor {name!r} is of type {dtype!r}")
    try:
        tensors: dict[str, np.ndarray] = load(data)
    except (SafetensorError, ValueError, TypeError, KeyError, OverflowError) as error:
        _fail(path, f"{error}", error)
    for tensor in tensors.values():
        tensor.flags.writeable = False
    return {name: tensors[name] for name in sorted(tensors)}


def _parse(path: Path, text: str | bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError) as error:
        _fail(path, f"its header is no JSON: {error}", error)
    if not isinstance(parsed, dict):
        _fail(path, "its header is no JSON object")
    return parsed


def _fail(path: Path, what: str, cause: Exception | None = None) -> NoReturn:
    raise ArtifactError(
        f"path={str(path)!r} given, which is no intact artifact: {what}; expected a file written "
        "by warmstart or metaopt: get it again, or leave the argument out to use the shipped one."
    ) from cause
