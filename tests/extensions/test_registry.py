"""What makes a kind known, what a document can do with that, and what becomes of kinds that break their promises."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import lazyzarr as lz
from lazyzarr.access.session import Session
from lazyzarr.document.decode import OpenedView, decode
from lazyzarr.errors import LazyZarrError, UnsupportedFeature, ViewLimitError, ViewSchemaError
from lazyzarr.extensions import ExtensionError, NodeKind, Schema, apply, register
from lazyzarr.ir import extensions
from lazyzarr.ir.graph import Graph
from lazyzarr.ir.layout import NamedConfig
from lazyzarr.ir.nodes import Extension, Fill
from lazyzarr.lower import expanding
from tests.document.samples import VIEW
from tests.document.test_hostile import plain
from tests.extensions.example import EXAMPLE, KIND, MODULE, install, module

FILL = {"op": "fill", "shape": [2, 3], "data_type": "int8", "value": 0}
NODE = "$.attributes.lazyzarr.graph.nodes[1]"
REQUIRES = "$.attributes.lazyzarr.requires"


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process in which nothing has been registered."""
    monkeypatch.setattr(extensions, "_registered", {})
    monkeypatch.delitem(sys.modules, MODULE, raising=False)


def document(kind: Any, *, requires: Sequence[str] = (KIND,), shape: Sequence[int] = (6,), inputs: Any = (0,)) -> bytes:
    node = {"op": "extension", "inputs": list(inputs), "kind": kind}
    return plain([FILL, node], list(shape), tuple(requires))


def reshape(configuration: Any) -> dict[str, Any]:
    return {"name": KIND, "configuration": configuration}


def opened(text: bytes, limits: lz.Limits | None = None) -> OpenedView:
    return decode(text, url=VIEW, session=Session(), limits=limits or lz.Limits())


def test_without_the_package_a_document_is_refused(fresh: None) -> None:
    with pytest.raises(UnsupportedFeature) as caught:
        opened(document(reshape({"shape": [6]})))
    assert (caught.value.reason, caught.value.where) == ("document-requires", REQUIRES)
    assert KIND in str(caught.value)


def test_an_installed_package_is_loaded_when_a_document_needs_it(
    fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(install(tmp_path))
    assert extensions.find("example.other") is None
    assert MODULE not in sys.modules
    assert opened(document(reshape({"shape": [6]}))).schema.shape == (6,)
    assert sys.modules[MODULE].__file__ == str(tmp_path / f"{MODULE}.py")


def test_a_reader_can_forbid_installed_packages(fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(install(tmp_path))
    with pytest.raises(ViewLimitError) as caught:
        opened(document(reshape({"shape": [6]})), lz.Limits(extensions=0))
    assert (caught.value.which, caught.value.value, caught.value.limit) == ("extensions", 1, 0)
    assert caught.value.where == REQUIRES
    assert MODULE not in sys.modules
    with pytest.raises(ViewSchemaError) as unlisted:
        opened(document(reshape({"shape": [6]}), requires=()), lz.Limits(extensions=0))
    assert unlisted.value.reason == "document-requires"
    assert MODULE not in sys.modules


def test_a_document_cannot_name_a_module(fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit('imported because of a document')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in (
        "evil",
        "evil:kind",
        "evil.kind",
        "os.system",
        "../evil",
        "evil\n.x",
        "a." + "b" * 99,
        "lazyzarr.evil",
    ):
        with pytest.raises(UnsupportedFeature):
            opened(document({"name": name}, requires=[name]))
    assert "evil" not in sys.modules


def test_nothing_is_looked_for_before_it_is_needed() -> None:
    code = (
        "import sys, lazyzarr as lz\n"
        "assert 'lazyzarr.extensions' not in sys.modules and 'importlib.metadata' not in sys.modules\n"
        "import lazyzarr.ir.extensions as registry\n"
        "registry.entry_points = None\n"
        "assert lz.full((2,), 0, dtype='int8')[1:].read().tolist() == [0]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_saved_here_and_read_in_a_new_process_with_and_without_the_package(tmp_path: Path) -> None:
    array = tmp_path / "data" / "a.zarr"
    lz.save(apply(module().Reshape((3, 2)), lz.open(np.arange(6))), tmp_path / "data" / "v.zarr")
    assert not array.exists()
    code = "import lazyzarr as lz, sys\nprint(lz.open(sys.argv[1])[1:].read().tolist())\n"
    place = str(tmp_path / "data" / "v.zarr")
    installed = install(tmp_path / "site")
    root = str(Path(__file__).parents[2])

    def run(*path: str) -> subprocess.CompletedProcess[str]:
        env = {"PYTHONPATH": ":".join((root, *path)), "PATH": ""}
        return subprocess.run([sys.executable, "-c", code, place], env=env, capture_output=True, text=True, check=False)

    assert run(str(installed)).stdout == "[[2, 3], [4, 5]]\n"
    without = run()
    assert without.returncode
    assert "UnsupportedFeature" in without.stderr
    assert KIND in without.stderr


Hostile = tuple[dict[str, Any], type[LazyZarrError], str, str]
HOSTILE: dict[str, Hostile] = {
    "missing": (reshape({}), ViewSchemaError, "document-member", f"{NODE}.kind.configuration"),
    "unknown": (
        reshape({"shape": [6], "order": "F"}),
        ViewSchemaError,
        "document-member",
        f"{NODE}.kind.configuration",
    ),
    "text": (reshape({"shape": "6"}), ViewSchemaError, "document-member", f"{NODE}.kind.configuration.shape"),
    "float": (reshape({"shape": [6.5]}), ViewSchemaError, "document-member", f"{NODE}.kind.configuration.shape[0]"),
    "negative": (reshape({"shape": [-6]}), ViewSchemaError, "document-member", f"{NODE}.kind.configuration"),
    "huge": (reshape({"shape": [10**19]}), ViewSchemaError, "graph-shape", NODE),
    "other cells": (reshape({"shape": [7]}), ViewSchemaError, "graph-shape", NODE),
    "a kind of ours": ({"name": "take"}, UnsupportedFeature, "graph-node", f"{NODE}.kind.name"),
    "extra member": (
        reshape({"shape": [6]}) | {"module": "os"},
        UnsupportedFeature,
        "document-member",
        f"{NODE}.kind",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_bad_parameters_are_refused_at_their_place(name: str) -> None:
    module()
    kind, error, reason, where = HOSTILE[name]
    with pytest.raises(error) as caught:
        opened(document(kind, requires=[KIND, "take"]))
    assert (caught.value.reason, caught.value.where) == (reason, where)


def test_several_inputs_are_refused() -> None:
    module()
    with pytest.raises(ViewSchemaError) as caught:
        opened(document(reshape({"shape": [6]}), inputs=[0, 0]))
    assert caught.value.reason == "graph-shape"


def test_a_reshape_of_too_many_parts_is_refused_when_it_is_opened() -> None:
    module()
    fill = {**FILL, "shape": [1_000_003, 7]}
    node = {"op": "extension", "inputs": [0], "kind": reshape({"shape": [7_000_021]})}
    with pytest.raises(ViewLimitError) as caught:
        opened(plain([fill, node], [7_000_021], (KIND,)))
    assert caught.value.value == 1_000_003
    assert caught.value.where == NODE


def test_nodes_after_expansion_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expanding, "MAX_NODES", 20)
    with pytest.raises(ViewLimitError) as caught:
        apply(module().Reshape((60,)), lz.full((30, 2), 0, dtype="int8")).read()
    assert caught.value.limit == 20


def test_ranks_of_results_are_limited() -> None:
    module()
    with pytest.raises(ViewLimitError) as caught:
        opened(document(reshape({"shape": [6, *[1] * 40]}), shape=(6, *[1] * 40)))
    assert caught.value.which == "rank"


def kind_of(name: str, **methods: Callable[..., Any]) -> NodeKind:
    """A node of a kind with some methods, the others being those of the identity."""
    sound = {
        "schema": lambda self, inputs: inputs[0],
        "values": lambda self, inputs: inputs[0],
        "rewrite": lambda self, *inputs: inputs[0],
        "describe": lambda self: "",
    }
    made = type("Kind", (NodeKind,), {"kind": name, "__module__": name, **sound, **methods}, frozen=True)
    return register(made)()


def broken(self: Any, *args: Any) -> Any:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    "methods",
    [
        {"schema": broken},
        {"schema": lambda self, inputs: Schema((-1,), "int8", 0)},
        {"schema": lambda self, inputs: "(3,)"},
        {"rewrite": broken},
        {"rewrite": lambda self, x: x[1:]},
        {"rewrite": lambda self, x: np.zeros(3)},
        {"rewrite": lambda self, x: lz.open(np.zeros(3, "int8"))},
        {"rewrite": lambda self, x: apply(module().Reshape((3,)), x)},
    ],
    ids=["schema", "negative", "no schema", "rewrite", "shape", "no view", "array", "extension"],
)
def test_a_kind_that_breaks_its_promise_is_an_error_of_its_own(fresh: None, methods: dict[str, Any]) -> None:
    with pytest.raises(ExtensionError) as caught:
        apply(kind_of("example.broken", **methods), lz.full(3, 1, dtype="int8")).read()
    assert caught.value.reason == "extension-failed"


def test_wrong_values_and_descriptions_are_noticed(fresh: None) -> None:
    node = kind_of("example.values", values=lambda self, inputs: inputs[0][1:], describe=broken)
    view = apply(node, lz.full(3, 1, dtype="int8"))
    from_numpy = extensions.valued
    with pytest.raises(ExtensionError):
        from_numpy(NamedConfig("example.values"), view.schema, view.dtype, [np.ones(3, "int8")])
    with pytest.raises(ExtensionError):
        view.explain()


def test_a_kind_may_be_its_input_and_may_use_tables(fresh: None) -> None:
    x = lz.open(np.arange(4))
    assert apply(kind_of("example.same"), x)[1:].read().tolist() == [1, 2, 3]
    taken = kind_of("example.taken", rewrite=lambda self, v: v.take([3, 0, 1, 2]))
    assert apply(taken, x).read().tolist() == [3, 0, 1, 2]
    assert lz.concat([apply(taken, x), x]).read().tolist() == [3, 0, 1, 2, 0, 1, 2, 3]


@pytest.mark.parametrize("name", ["reshape", "lazyzarr.reshape", "Example.reshape", "", "a..b", "a.b "])
def test_names_have_a_vendor(fresh: None, name: str) -> None:
    with pytest.raises(ExtensionError):
        kind_of(name)


def test_a_name_is_taken_once(fresh: None) -> None:
    class One(NodeKind, frozen=True):
        kind = "example.taken"

    class Two(NodeKind, frozen=True):
        kind = "example.taken"

    assert register(register(One)) is One
    with pytest.raises(ExtensionError):
        register(Two)


def test_two_packages_that_offer_one_name_are_refused(
    fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(install(tmp_path / "one"))
    other = install(tmp_path / "two") / f"{MODULE}-0.1.0.dist-info"
    other = other.rename(other.parent / "other-1.dist-info")
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1\n")
    (other / "entry_points.txt").write_text(f"[lazyzarr.nodes]\n{KIND} = os:path\n")
    monkeypatch.syspath_prepend(tmp_path / "two")
    with pytest.raises(ExtensionError, match="several packages"):
        extensions.find(KIND)


@pytest.mark.parametrize("target", ["os:path", "no_such_module_here:Kind", f"{MODULE}:groups"])
def test_an_entry_point_that_leads_elsewhere_is_refused(
    fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    folder = install(tmp_path)
    (folder / f"{MODULE}-0.1.0.dist-info" / "entry_points.txt").write_text(f"[lazyzarr.nodes]\n{KIND} = {target}\n")
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(ExtensionError):
        opened(document(reshape({"shape": [6]})))


def test_a_graph_without_such_nodes_is_not_touched() -> None:
    graph = Graph([Fill((2,), "int8", 0)])
    assert expanding.expanded(graph) is graph
    assert msgspec.json.decode(msgspec.json.encode(Extension((0,), NamedConfig(KIND))), type=Extension).inputs == (0,)
    assert (EXAMPLE / "pyproject.toml").exists()
