"""The public surface is what a file says it is: every name, every signature.

After a change that is meant, write the file anew: ``uv run python -m tests.test_public_surface``.
"""

from __future__ import annotations

import difflib
import inspect
from pathlib import Path

import lazyzarr

SNAPSHOT = Path(__file__).with_name("public_surface.txt")

_LITERALS = (str, int, float, tuple, type(None))

PROMISED = (
    *("open", "full", "concat", "stack", "block", "overlay", "interleave", "pad", "broadcast_to", "save"),
    *("append", "refresh"),
    *("View", "Group", "NotFlat"),
)
PROMISED_METHODS = (
    *("oindex", "take", "transpose", "T", "flip", "squeeze", "expand_dims", "rename_dims", "with_attrs", "recode"),
    *("astype", "unpack", "shape", "ndim", "dtype", "fill_value", "dims", "attrs", "chunks", "nbytes", "sources"),
    *("is_flat", "flatness", "read", "read_async", "explain", "graph"),
)


def surface() -> str:
    """Every public name with its signature, one a line."""
    lines: list[str] = []
    for name in sorted(lazyzarr.__all__):
        value = getattr(lazyzarr, name)
        if not inspect.isclass(value):
            lines.append(f"{name}{_signature(value)}")
            continue
        bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
        lines.append(f"class {name}({bases})")
        if issubclass(value, BaseException):
            continue
        lines.extend(f"    {member}" for member in _members(value))
    return "\n".join(lines) + "\n"


def _members(owner: type) -> list[str]:
    """Public members of a class, and the operators it defines, also in a base of this package."""
    found = []
    ours = [base for base in owner.__mro__ if base.__module__.startswith("lazyzarr")]
    for name in sorted({name for base in ours for name in (*vars(base), *inspect.get_annotations(base))}):
        value = inspect.getattr_static(owner, name, None)  # attributes may be made when they are asked for
        if name.startswith("_") and name not in ("__getitem__", "__array__", "__len__", "__init__"):
            continue
        if isinstance(value, property):
            found.append(f"{name}: property")
        else:
            found.append(f"{name}{_signature(value)}")
    return found


def _signature(value: object) -> str:
    if not callable(value) and not isinstance(value, staticmethod | classmethod):
        return ""
    target = value.__func__ if isinstance(value, staticmethod | classmethod) else value
    signature = inspect.signature(target)
    plain = [_parameter(p) for p in signature.parameters.values()]
    return str(signature.replace(parameters=plain, return_annotation=inspect.Signature.empty))


def _parameter(parameter: inspect.Parameter) -> inspect.Parameter:
    """Without its annotation; defaults that are objects are only said to be there."""
    plain = parameter.default is inspect.Parameter.empty or isinstance(parameter.default, _LITERALS)
    default = parameter.default if plain else ...
    return parameter.replace(annotation=inspect.Parameter.empty, default=default)


def test_the_surface_is_the_one_on_file() -> None:
    found, known = surface().splitlines(), SNAPSHOT.read_text().splitlines()
    assert found == known, "\n".join(difflib.unified_diff(known, found, "on file", "now", lineterm=""))


def test_what_was_promised_is_there() -> None:
    assert [name for name in PROMISED if name not in lazyzarr.__all__] == []
    members = dir(lazyzarr.full((2,), 0, dtype="int8"))
    assert [name for name in PROMISED_METHODS if name not in members] == []


def test_arguments_after_the_second_are_by_keyword() -> None:
    for name in lazyzarr.__all__:
        value = getattr(lazyzarr, name)
        if not inspect.isfunction(value):
            continue
        positional = [
            p
            for p in inspect.signature(value).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
        assert len(positional) <= 2, name


if __name__ == "__main__":
    SNAPSHOT.write_text(surface())
