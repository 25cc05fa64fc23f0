from __future__ import annotations

import functools
import json
import math
import os
import subprocess
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save

from warmstart.artifact import FORMAT, METADATA_KEY, VERSION, read_artifact, write_artifact
from warmstart.errors import ArtifactError

TENSORS = {
    "mean": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
    "scale": np.array(0.5),
    "codes": np.arange(5, dtype=np.int32),
}
DESCRIPTION: dict[str, Any] = {
    "kind": "surrogate",
    "tasks": [{"name": "Größe", "n_trials": 12, "licence": None}],
    "tolerance": 1.5e-12,
}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
descriptions = st.dictionaries(st.text(), json_values, max_size=4)
names = st.text(min_size=1).filter(lambda name: name.isprintable() and not name.startswith("__"))
arrays = st.sampled_from(["float16", "float32", "float64", "int32", "uint8", ">f8"]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=4))
)


@functools.cache
def intact() -> bytes:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "artifact"
        write_artifact(path, TENSORS, DESCRIPTION)
        return path.read_bytes()


def same_tensors(a: Any, b: Any) -> bool:
    return a.keys() == b.keys() and all(
        a[name].dtype.name == b[name].dtype.name
        and a[name].shape == b[name].shape
        # bytes, so that NaN equals NaN and 0.0 is not -0.0
        and a[name].astype(a[name].dtype.newbyteorder("<")).tobytes() == b[name].tobytes()
        for name in a
    )


def with_metadata(entry: object, tensors: dict[str, np.ndarray] = TENSORS) -> bytes:
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"))
    return save(tensors, {METADATA_KEY: text})


def entry_of(data: bytes) -> dict[str, Any]:
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    entry: dict[str, Any] = json.loads(header["__metadata__"][METADATA_KEY])
    return entry


def error_of(data: bytes) -> str:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "artifact.safetensors"
        path.write_bytes(data)
        with pytest.raises(ArtifactError) as caught:
            read_artifact(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@given(st.dictionaries(names, arrays, max_size=4), descriptions)
@settings(deadline=None, max_examples=150)
def test_what_is_written_comes_back(tensors: dict[str, np.ndarray], description: Any) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "artifact.safetensors"
        digest = write_artifact(path, tensors, description)
        artifact = read_artifact(path)
    assert artifact.digest == digest
    assert artifact.description == description
    assert same_tensors(tensors, artifact.tensors)


def test_nan_and_infinity_in_tensors_come_back_bit_for_bit(tmp_path: Path) -> None:
    odd = np.array([math.nan, -math.nan, math.inf, -0.0])
    write_artifact(tmp_path / "a", {"odd": odd, "strided": odd[::2]}, {})
    tensors = read_artifact(tmp_path / "a").tensors
    assert tensors["odd"].tobytes() == odd.tobytes()
    assert tensors["strided"].tobytes() == odd[::2].tobytes()


def test_tensors_cannot_be_changed_by_accident(tmp_path: Path) -> None:
    write_artifact(tmp_path / "a", TENSORS, DESCRIPTION)
    with pytest.raises(ValueError, match="read-only"):
        read_artifact(tmp_path / "a").tensors["mean"][0, 0] = 1.0


def test_same_content_in_another_order_and_process_gives_same_digest_and_bytes(
    tmp_path: Path,
) -> None:
    digest = write_artifact(
        tmp_path / "a",
        {name: TENSORS[name] for name in reversed(TENSORS)},
        {name: DESCRIPTION[name] for name in reversed(DESCRIPTION)},
    )
    assert (tmp_path / "a").read_bytes() == intact()
    code = (
        "import numpy as np; from warmstart.artifact import read_artifact, write_artifact\n"
        f"artifact = read_artifact({str(tmp_path / 'a')!r})\n"
        f"print(write_artifact({str(tmp_path / 'b')!r}, artifact.tensors, artifact.description))"
    )
    env = {**os.environ, "PYTHONHASHSEED": "7"}
    out = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == digest
    assert (tmp_path / "b").read_bytes() == intact()


@pytest.mark.parametrize(
    ("tensors", "description"),
    [
        (TENSORS, {**DESCRIPTION, "tolerance": 1.5000000000000002e-12}),
        ({**TENSORS, "scale": np.array(-0.5)}, DESCRIPTION),
        ({**TENSORS, "scale": np.array([0.5])}, DESCRIPTION),
        ({**TENSORS, "scale": np.array(0.5, np.float32)}, DESCRIPTION),
        ({**TENSORS, "mean": TENSORS["mean"].reshape(4, 3)}, DESCRIPTION),
        ({"a": TENSORS["mean"], **TENSORS}, DESCRIPTION),
    ],
)
def test_other_content_gives_another_digest(
    tmp_path: Path, tensors: dict[str, np.ndarray], description: Any
) -> None:
    other = write_artifact(tmp_path / "a", tensors, description)
    assert other != entry_of(intact())["digest"]


def test_every_truncation_is_found() -> None:
    for end in range(len(intact())):
        error_of(intact()[:end])


@given(st.sets(st.integers(0, 8 * len(intact()) - 1), min_size=1, max_size=4))
@settings(deadline=None, max_examples=400)
def test_flipped_bits_are_found(positions: set[int]) -> None:
    damaged = bytearray(intact())
    for position in positions:
        damaged[position // 8] ^= 1 << position % 8
    error_of(bytes(damaged))


def test_every_flip_of_one_letter_s_case_is_found() -> None:
    data = intact()
    for i in range(len(data)):
        if data[i : i + 1].isalpha():
            error_of(data[:i] + data[i : i + 1].swapcase() + data[i + 1 :])


@given(st.binary(max_size=300) | st.binary(max_size=30).map(lambda more: intact() + more + b"0"))
@settings(deadline=None)
def test_any_other_bytes_are_no_artifact(data: bytes) -> None:
    error_of(data)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "0 bytes"),
        (b"PK\x03\x04 a zip file, say", "no safetensors file"),
        (save(TENSORS), "other software"),
        (save(TENSORS, {"format": "pt"}), "other software"),
        (with_metadata([]), "no JSON object"),
        (with_metadata({"format": "other", "version": 1}), "'other' 1"),
        (with_metadata({"format": FORMAT, "version": "1"}), "'1'"),
        (with_metadata({"format": FORMAT, "version": VERSION}), "lacks the description"),
        ((4).to_bytes(8, "little") + b"[[[]", "no JSON"),
        ((10**5).to_bytes(8, "little") + b"[" * 10**5, "no JSON"),
        ((10**9).to_bytes(8, "little") + b"{}", "no safetensors file"),
    ],
)
def test_a_foreign_file_is_named_for_what_it_is(data: bytes, what: str) -> None:
    assert what in error_of(data)


def test_a_newer_format_says_which_one_is_known_and_to_upgrade() -> None:
    newer = {"format": FORMAT, "version": VERSION + 1, "something": "else"}
    message = error_of(with_metadata(newer, {"x": np.zeros(2, np.int64)}))
    assert f"version {VERSION + 1}" in message
    assert f"up to {VERSION}: upgrade" in message


@pytest.mark.parametrize("dtype", [np.int64, np.bool_, np.uint16])
def test_a_tensor_of_another_type_is_refused(tmp_path: Path, dtype: type) -> None:
    tensors = {"x": np.zeros(2, dtype)}
    with pytest.raises(ArtifactError, match="'x'"):
        write_artifact(tmp_path / "a", tensors, {})
    assert "'x' is of type" in error_of(with_metadata(entry_of(intact()), tensors))


def test_tensors_of_another_artifact_do_not_pass() -> None:
    others = {**TENSORS, "scale": np.array(0.25)}
    assert "checksum" in error_of(with_metadata(entry_of(intact()), others))


def test_a_description_with_nan_does_not_pass() -> None:
    entry = {**entry_of(intact()), "description": {"x": math.nan}}
    assert "description is damaged" in error_of(with_metadata(entry))


def test_a_file_that_is_not_there_or_no_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="there is no file"):
        read_artifact(tmp_path / "missing.safetensors")
    with pytest.raises(ArtifactError, match="irectory"):
        read_artifact(tmp_path)
    with pytest.raises(ArtifactError, match="can't be read"):
        read_artifact("a\0b")
    for wrong in (tmp_path / "missing" / "a", tmp_path):
        with pytest.raises(ArtifactError, match="can't be written"):
            write_artifact(wrong, TENSORS, DESCRIPTION)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "description",
    [{"x": math.nan}, {"x": [math.inf]}, {"x": np.float32(1)}, {"x": {1, 2}}, {(1,): 1}, [1]],
)
def test_a_description_that_json_cannot_hold_is_refused(tmp_path: Path, description: Any) -> None:
    with pytest.raises(ArtifactError, match="description"):
        write_artifact(tmp_path / "a", TENSORS, description)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "__metadata__", "a\nb", 3])
def test_a_tensor_with_a_strange_name_is_refused(tmp_path: Path, name: Any) -> None:
    with pytest.raises(ArtifactError, match="A tensor named"):
        write_artifact(tmp_path / "a", {name: np.zeros(1)}, {})


def test_a_tensor_that_is_no_array_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="list"):
        write_artifact(tmp_path / "a", {"x": [1.0]}, {})  # type: ignore[dict-item]


def test_a_description_too_long_for_a_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="put what is long into tensors"):
        write_artifact(tmp_path / "a", {}, {"x": "x" * 26_000_000})


def test_a_failing_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    digest = write_artifact(path, TENSORS, DESCRIPTION)

    def full_disk(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full_disk)
        with pytest.raises(ArtifactError, match="No space left"):
            write_artifact(path, {}, {})
    assert read_artifact(path).digest == digest
    assert list(tmp_path.iterdir()) == [path]


def test_readers_see_one_of_several_concurrent_writes_and_never_a_mixture(tmp_path: Path) -> None:
    path = tmp_path / "a"
    n_writes = 15
    allowed = {write_artifact(path, {"x": np.full(20_000, float(i))}, {"i": i}) for i in range(4)}
    seen = set()

    def write(i: int) -> None:
        for _ in range(n_writes):
            write_artifact(path, {"x": np.full(20_000, float(i))}, {"i": i})

    threads = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        artifact = read_artifact(path)
        seen.add(artifact.digest)
        assert (artifact.tensors["x"] == artifact.description["i"]).all()
    for thread in threads:
        thread.join()
    assert seen <= allowed
    assert list(tmp_path.iterdir()) == [path]


def test_importing_the_module_loads_no_safetensors() -> None:
    code = "import sys, warmstart.artifact; sys.exit('safetensors' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
