"""What lazyzarr can do with a data set of xarray: the accessor ``.lazyzarr``.

Owns the way back, from variables to views and real arrays with attributes and names. A variable that holds no view is encoded as
xarray encodes it for a file, and is saved as a real array. Refuses arrays of dask: they are computed by whoever knows where.
"""

from __future__ import annotations

import importlib
from typing import Any, Literal

import numpy as np
import xarray as xr
from xarray.conventions import decode_cf_variable, encode_cf_variable, encode_dataset_coordinates

from lazyzarr.api import open as open_view
from lazyzarr.api import save as save_views
from lazyzarr.datasets.arrays import DatasetView
from lazyzarr.document.groups import ArrayMember
from lazyzarr.errors import NotFlat, SaveUnsupported
from lazyzarr.view import View


class _Accessor:
    """What both accessors have; `_dataset` is the data set, with all of its coordinates."""

    def __init__(self, what: Any) -> None:
        self._what = what

    @property
    def _dataset(self) -> xr.Dataset:
        if isinstance(self._what, xr.Dataset):
            return self._what
        name = self._what.name
        return self._what.to_dataset(name="data" if name is None or name in self._what.coords else name)

    def views(self) -> dict[str, View]:
        """Views of all variables, with the attributes of a file; what is in memory is a view of that.

        Examples
        --------
        >>> import lazyzarr as lz, numpy as np
        >>> ds = lz.open_dataset(lz.open(np.arange(3)).rename_dims(["x"]), name="a").assign_coords(x=[1, 2, 3])
        >>> {name: view.dims for name, view in ds.lazyzarr.views().items()}
        {'a': ('x',), 'x': ('x',)}
        """
        found: dict[str, View] = {}
        for name, member in members_of(self._dataset)[0].items():
            if isinstance(member, ArrayMember):
                dims = list(member.dims or ())
                member = open_view(member.array).rename_dims(dims).with_attrs(member.attributes)
            found[name] = member
        return found

    def save(self, url: Any, *, overwrite: bool = False, manifest: bool | Literal["only"] = False) -> None:
        """Save as a group: views as metadata, everything else as real arrays, with the attributes of a file.

        Parameters
        ----------
        url
            Where the group is written.
        overwrite, manifest
            As `lazyzarr.save`.

        Raises
        ------
        SaveConflict, SaveUnsupported, SaveError
            As `lazyzarr.save`.

        Examples
        --------
        >>> import lazyzarr as lz, numpy as np, tempfile
        >>> ds = lz.open_dataset(lz.open(np.arange(3)).rename_dims(["x"]), name="a")
        >>> place = f"{tempfile.mkdtemp()}/d.zarr"
        >>> ds.isel(x=slice(None, None, -1)).lazyzarr.save(place)
        >>> lz.open_dataset(place).a.values
        array([2, 1, 0])
        """
        members, attributes = members_of(self._dataset)
        save_views(members, url, overwrite=overwrite, manifest=manifest, attrs=attributes)

    def explain(self, stage: str | None = None, **options: Any) -> str:
        """What each variable that is a view is, in the words of `View.explain`.

        Examples
        --------
        >>> import lazyzarr as lz, numpy as np
        >>> print(lz.open_dataset(lz.full((2,), 1, dtype="int8"), name="a").lazyzarr.explain().splitlines()[0])
        a
        """
        stages = {} if stage is None else {"stage": stage}
        held = held_by(self._dataset)
        return "\n\n".join(f"{name}\n{view.explain(**stages, **options)}" for name, view in held.items())

    def flatten(self, **options: Any) -> dict[str, Any]:
        """Flat manifests of the variables that are views; one `NotFlat` with the problems of all.

        Parameters
        ----------
        options
            Of `View.flatten`.

        Examples
        --------
        >>> import lazyzarr as lz, numpy as np, zarr
        >>> v = lz.open(zarr.create_array({}, data=np.arange(4), chunks=(2,)))
        >>> {name: len(flat) for name, flat in lz.open_dataset(v, name="a").lazyzarr.flatten().items()}
        {'a': 2}
        """
        found: dict[str, Any] = {}
        problems: list[str] = []
        for name, view in held_by(self._dataset).items():
            try:
                found[name] = view.flatten(**options)
            except NotFlat as error:
                problems += [f"{name}: {problem}" for problem in error.problems]
        if problems:
            raise NotFlat("flatten", problems)
        return found

    def to_kerchunk(self, path: Any, **options: Any) -> Any:
        """Write references of kerchunk, as ``lazyzarr.formats.kerchunk.write``; its report.

        Examples
        --------
        >>> import lazyzarr as lz, numpy as np, tempfile, zarr
        >>> folder = tempfile.mkdtemp()
        >>> _ = zarr.create_array(f"{folder}/a.zarr", data=np.arange(4), chunks=(2,), dimension_names=["x"])
        >>> ds = lz.open_dataset(lz.open(f"{folder}/a.zarr"), name="a")
        >>> ds.lazyzarr.to_kerchunk(f"{folder}/refs.json").chunks
        2
        """
        return _writer("kerchunk").write(self.views(), path, **options)

    def to_icechunk(self, store: Any, **options: Any) -> Any:
        """Write virtual references into Icechunk, as ``lazyzarr.formats.icechunk.write``; its report.

        Examples
        --------
        >>> import icechunk, lazyzarr as lz, numpy as np
        >>> repository = icechunk.Repository.create(icechunk.in_memory_storage())
        >>> ds = lz.open_dataset(lz.full((2,), 1, dtype="int8"), name="a")
        >>> ds.lazyzarr.to_icechunk(repository.writable_session("main")).chunks
        0
        """
        return _writer("icechunk").write(self.views(), store, **options)

    def to_virtual(self, **options: Any) -> xr.Dataset:
        """The same as a virtual data set of VirtualiZarr, as ``lazyzarr.formats.virtualizarr.to_dataset``.

        Examples
        --------
        >>> import lazyzarr as lz, numpy as np, tempfile, zarr
        >>> folder = tempfile.mkdtemp()
        >>> _ = zarr.create_array(f"{folder}/a.zarr", data=np.arange(4), chunks=(2,), dimension_names=["x"])
        >>> ds = lz.open_dataset(lz.open(f"{folder}/a.zarr"), name="a")
        >>> type(ds.lazyzarr.to_virtual().a.data).__name__
        'ManifestArray'
        """
        return _writer("virtualizarr").to_dataset(self.views(), **options)


@xr.register_dataset_accessor("lazyzarr")
class DatasetAccessor(_Accessor):
    """``dataset.lazyzarr``."""


@xr.register_dataarray_accessor("lazyzarr")
class DataArrayAccessor(_Accessor):
    """``array.lazyzarr``: the array with its coordinates."""


def members_of(dataset: xr.Dataset) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is saved for each variable, a view or a real array, and the attributes; these name coordinates, as in a file.

    Raises
    ------
    SaveUnsupported
        Variables hold arrays of dask.
    """
    variables, attributes = encode_dataset_coordinates(dataset)
    lazy = [str(name) for name, one in variables.items() if hasattr(one._data, "dask")]
    if lazy:
        raise SaveUnsupported(
            f"save of a data set whose {', '.join(lazy)} are dask arrays; a view has no place for what dask computes; "
            "load them, or copy the data set with to_zarr"
        )
    members: dict[str, Any] = {}
    for name, variable in variables.items():
        data = variable._data
        if isinstance(data, DatasetView):
            members[str(name)] = data.rename_dims(list(map(str, variable.dims))).with_attrs(_plain(variable.attrs))
        else:
            members[str(name)] = _real(_encoded(str(name), variable))
    return members, _plain(attributes)


def held_by(dataset: xr.Dataset) -> dict[str, DatasetView]:
    """The views that variables hold."""
    return {str(name): one._data for name, one in dataset.variables.items() if isinstance(one._data, DatasetView)}


def _encoded(name: str, variable: xr.Variable) -> xr.Variable:
    """A variable as in a file, so that it is decoded to the same values.

    Of several values that were missing in a file the first is written. Times whose units or type in a file do not hold
    them exactly get others.

    Raises
    ------
    SaveUnsupported
        xarray cannot write it so.
    """
    variable = variable.copy(deep=False)
    missing = [
        value for key in ("_FillValue", "missing_value") for value in np.ravel(variable.encoding.get(key, ())).tolist()
    ]
    if len(missing) > 1:
        variable.encoding["_FillValue"] = np.ravel(variable.encoding.get("_FillValue", missing[0]))[0]
        variable.encoding.pop("missing_value", None)
    if variable.dtype.kind in "OSU":
        variable.encoding.pop("dtype", None)  # text may be longer than in the first of several files
    try:
        found = encode_cf_variable(variable, name=name)
        if variable.dtype.kind in "mM" and not _same_times(name, found, variable):
            for key in ("units", "dtype", "_FillValue", "scale_factor", "add_offset"):
                variable.encoding.pop(key, None)
            found = encode_cf_variable(variable, name=name)
        return found
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise SaveUnsupported(
            f"save of the variable {name}; xarray cannot encode it ({type(error).__name__}: {error}); "
            f"change its encoding, or leave it out with drop_vars({name!r})"
        ) from error


def _same_times(name: str, encoded: xr.Variable, variable: xr.Variable) -> bool:
    # xarray decodes in place
    decoded = decode_cf_variable(name, encoded.copy(deep=True), decode_timedelta=True).values.astype(variable.dtype)
    return bool(np.array_equal(decoded.view("i8"), np.asarray(variable.values).view("i8")))


def _real(variable: xr.Variable) -> ArrayMember:
    array = np.asarray(variable.values)
    if array.dtype.kind in "OU" and all(isinstance(text, str) for text in array.reshape(-1)):
        array = array.astype(np.dtypes.StringDType())
    attributes = {key: value for key, value in variable.attrs.items() if not (key == "_FillValue" and value != value)}
    return ArrayMember(array, list(map(str, variable.dims)), _plain(attributes))


def _plain(attributes: Any) -> dict[str, Any]:
    """Attributes as JSON has them."""
    return {
        str(name): _json(value.tolist() if isinstance(value, np.ndarray | np.generic) else value)
        for name, value in attributes.items()
    }


def _json(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _writer(name: str) -> Any:
    return getattr(importlib.import_module("lazyzarr.formats"), name)
