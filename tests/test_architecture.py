"""Which module may import which, and what loading the packages may cost."""

from __future__ import annotations

import ast
import graphlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import metaopt
import warmstart

WARMSTART = Path(warmstart.__file__).parent
METAOPT = Path(metaopt.__file__).parent

# A module imports from its own layer and from earlier ones.
# A subpackage stands here by its own name.
WARMSTART_LAYERS: tuple[tuple[str, set[str]], ...] = (
    ("errors", {"errors"}),
    ("space", {"space", "choices", "widening"}),
    (
        "history",
        {
            "column",
            "compaction",
            "durable",
            "frames",
            "history",
            "journal",
            "metrics",
            "segments",
            "snapshot",
            "store",
            "trial",
        },
    ),
    (
        "descriptor",
        {
            "cells",
            "descriptor",
            "fingerprint",
            "lookalike",
            "metafeatures",
            "moments",
            "qualities",
            "table",
            "target",
        },
    ),
    (
        "alignment, artifact",
        {
            "alignment",
            "artifact",
            "artifacts",
            "boosting_estimators",
            "catalogue",
            "estimator",
            "inference",
            "matching",
            "name_words",
            "names",
            "search_spaces",
            "sklearn_estimators",
            "values",
        },
    ),
    (
        "surrogate",
        {
            "aligned",
            "axes",
            "calibration",
            "curve_model",
            "curves",
            "encoding",
            "kernels",
            "learning",
            "lengthscales",
            "posterior",
            "predictive",
            "prior",
            "threads",
            "prior_file",
            "proposals",
            "regret",
            "standings",
        },
    ),
    ("knowledge", {"knowledge"}),
    (
        "sampler",
        {
            "branches",
            "constraints",
            "delegation",
            "distributions",
            "explanation",
            "given_study",
            "lightgbm",
            "lightgbm_params",
            "planning",
            "provenance",
            "pruner",
            "sampler",
            "study_memory",
            "study_trials",
            "suggestion",
        },
    ),
    ("search", {"sklearn"}),
    ("recording, openml", {"openml", "recording", "study_history"}),
)
METAOPT_PARTS = {
    "__main__",
    "benchmarks",
    "cli",
    "collect",
    "demo",
    "demo_progress",
    "embedding",
    "episodes",
    "evaluation",
    "exported",
    "learners",
    "optim",
    "schedule",
    "training",
}
# Parts of metaopt that train and step with torch; all else runs without it.
METAOPT_WITH_TORCH = {"episodes", "learners", "optim"}
BENCHMARKS_WITH_TORCH = ("metaopt.benchmarks.learners", "metaopt.benchmarks.optimizers")

# What the light modules load only where they use it.
HEAVY = {"openml", "pandas", "pyarrow", "scipy", "sklearn", "torch"}
OPTUNA_FROM = "sampler"


@dataclass(frozen=True)
class Import:
    """One imported module, where it is imported, and whether that happens at import time."""

    importer: str
    imported: str
    line: int
    at_import: bool

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def modules_of(package: Path) -> dict[str, ast.Module]:
    """The dotted name and the syntax tree of each module of a package."""
    trees = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        trees[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return trees


MODULES = {"warmstart": modules_of(WARMSTART), "metaopt": modules_of(METAOPT)}


def imports_of(name: str, tree: ast.Module) -> Iterator[Import]:
    """All imports of a module, those in functions and for type checkers too."""
    known = {module for modules in MODULES.values() for module in modules}
    pending: list[tuple[ast.AST, bool]] = [(tree, True)]
    while pending:
        node, at_import = pending.pop()
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(name, alias.name, node.lineno, at_import)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}:{node.lineno} imports relatively"
            module = node.module or ""
            for alias in node.names:
                # "from package import module" imports the module.
                full = f"{module}.{alias.name}"
                imported = full if full in known else module
                yield Import(name, imported, node.lineno, at_import)
        in_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        inside = at_import and not in_function and not for_types
        pending += [(child, inside) for child in ast.iter_child_nodes(node)]


IMPORTS = {
    package: [i for name, tree in modules.items() for i in imports_of(name, tree)]
    for package, modules in MODULES.items()
}


def part_of(module: str) -> str:
    """The module or subpackage right below its package; empty for the package itself."""
    return [*module.split("."), ""][1]


def layer_of(part: str) -> int:
    for index, (_, parts) in enumerate(WARMSTART_LAYERS):
        if part in parts:
            return index
    pytest.fail(f"warmstart.{part} is in no layer: give it one in WARMSTART_LAYERS.")


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout


def loaded_by(code: str) -> set[str]:
    listed = run_python(
        f"import json, sys\n{code}\nprint(json.dumps([m.split('.')[0] for m in sys.modules]))"
    )
    return set(json.loads(listed))


def test_every_module_of_warmstart_has_exactly_one_layer() -> None:
    listed = [part for _, parts in WARMSTART_LAYERS for part in parts]
    assert len(listed) == len(set(listed))
    for module in MODULES["warmstart"]:
        if part_of(module):
            layer_of(part_of(module))


def test_every_part_of_metaopt_is_known() -> None:
    assert {part_of(module) for module in MODULES["metaopt"]} - {""} <= METAOPT_PARTS


def test_a_module_imports_from_its_own_layer_or_an_earlier_one_only() -> None:
    wrong = []
    for found in IMPORTS["warmstart"]:
        importer, imported = part_of(found.importer), part_of(found.imported)
        inside = found.imported.split(".")[0] == "warmstart"
        # The package itself only hands out names, each when it is asked for.
        if inside and importer and imported and layer_of(imported) > layer_of(importer):
            wrong.append(str(found))
    assert not wrong


def test_no_module_of_warmstart_imports_the_package_itself() -> None:
    wrong = [str(i) for i in IMPORTS["warmstart"] if i.imported == "warmstart"]
    assert not wrong


def test_warmstart_imports_neither_metaopt_nor_torch() -> None:
    wrong = [
        str(i) for i in IMPORTS["warmstart"] if i.imported.split(".")[0] in ("metaopt", "torch")
    ]
    assert not wrong


def test_optuna_enters_with_the_sampler() -> None:
    names = [name for name, _ in WARMSTART_LAYERS]
    wrong = [
        str(i)
        for i in IMPORTS["warmstart"]
        if i.imported.split(".")[0] == "optuna"
        and layer_of(part_of(i.importer)) < names.index(OPTUNA_FROM)
    ]
    assert not wrong


def test_openml_is_imported_by_the_openml_part_only() -> None:
    wrong = [
        str(i)
        for package in IMPORTS.values()
        for i in package
        if i.imported.split(".")[0] == "openml" and not i.importer.startswith("warmstart.openml")
    ]
    assert not wrong


def test_warmstart_loads_heavy_packages_in_functions_only() -> None:
    wrong = [
        str(i)
        for i in IMPORTS["warmstart"]
        if i.at_import
        and i.imported.split(".")[0] in HEAVY
        and part_of(i.importer) != "sklearn"  # the search class is a scikit-learn estimator
    ]
    assert not wrong


def test_torch_is_imported_at_import_time_only_by_what_trains_or_steps_with_it() -> None:
    wrong = [
        str(i)
        for i in IMPORTS["metaopt"]
        if i.at_import
        and i.imported.split(".")[0] == "torch"
        and part_of(i.importer) not in METAOPT_WITH_TORCH
        and not i.importer.startswith(BENCHMARKS_WITH_TORCH)
    ]
    assert not wrong


def test_the_command_line_is_imported_by_nothing_else() -> None:
    wrong = [
        str(i)
        for package in IMPORTS.values()
        for i in package
        if i.imported.startswith("metaopt.cli")
        and not i.importer.startswith(("metaopt.cli", "metaopt.__main__"))
    ]
    assert not wrong


@pytest.mark.parametrize("package", ["warmstart", "metaopt"])
def test_modules_do_not_import_each_other_in_a_circle(package: str) -> None:
    graph: dict[str, set[str]] = {name: set() for name in MODULES[package]}
    for found in IMPORTS[package]:
        if found.at_import and found.imported in graph and found.imported != found.importer:
            graph[found.importer].add(found.imported)
    assert set(graphlib.TopologicalSorter(graph).static_order()) == set(graph)


@pytest.mark.parametrize("package", ["warmstart", "metaopt"])
def test_importing_a_package_loads_nothing_heavy(package: str) -> None:
    assert not loaded_by(f"import {package}") & (HEAVY | {"matplotlib", "rich", "typer"})


def test_the_sampler_loads_nothing_heavy() -> None:
    loaded = loaded_by("import warmstart\nwarmstart.WarmStartSampler")
    assert "optuna" in loaded
    assert not loaded & HEAVY


def test_the_command_line_loads_no_part_before_it_is_called() -> None:
    loaded = loaded_by("import metaopt.cli")
    assert "typer" in loaded
    assert not loaded & {"torch", "sklearn", "openml", "matplotlib"}


def test_importing_warmstart_takes_little_longer_than_importing_optuna() -> None:
    seconds: dict[str, list[float]] = {"warmstart": [], "optuna": []}
    for _ in range(4):
        for package, taken in seconds.items():
            start = time.perf_counter()
            run_python(f"import {package}")
            taken.append(time.perf_counter() - start)
    assert min(seconds["warmstart"]) <= 1.3 * min(seconds["optuna"])


def test_warmstart_prints_only_to_a_stream_that_it_was_given() -> None:
    wrong = [
        f"{name}:{node.lineno}"
        for name, tree in MODULES["warmstart"].items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
        and "file" not in [keyword.arg for keyword in node.keywords]
    ]
    assert not wrong


def test_no_exception_is_caught_without_its_name() -> None:
    wrong = [
        f"{name}:{node.lineno}"
        for modules in MODULES.values()
        for name, tree in modules.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert not wrong


def test_no_global_random_state_is_used() -> None:
    stateless = {"default_rng", "Generator", "SeedSequence", "PCG64", "RandomState"}
    wrong = [
        f"{name}:{node.lineno} uses numpy.random.{node.attr}"
        for modules in MODULES.values()
        for name, tree in modules.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and ast.unparse(node.value) in ("np.random", "numpy.random")
        and node.attr not in stateless
    ]
    assert not wrong


@pytest.mark.parametrize("package", [WARMSTART, METAOPT])
def test_a_package_says_that_it_is_typed(package: Path) -> None:
    assert (package / "py.typed").is_file()
