"""The only file that imports zarr's codec machinery.

Owns `decoder`, which makes a decoder of a codec class registered with zarr-python, for codecs without one here. It
is imported only when a reader asks for such a codec by name. Refuses codecs that zarr-python does not know.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, cast

import numpy as np
from zarr.abc.codec import ArrayArrayCodec, ArrayBytesCodec, BytesBytesCodec
from zarr.core.array_spec import ArrayConfig, ArraySpec
from zarr.core.buffer import default_buffer_prototype
from zarr.core.buffer.cpu import Buffer, NDBuffer
from zarr.core.dtype import get_data_type_from_native_dtype
from zarr.errors import UnknownCodecError
from zarr.registry import get_codec_class

from lazyzarr.codecs.stages import Array, Bytes, Configuration, malformed
from lazyzarr.errors import ChunkError, UnsupportedFeature

Place = Literal["array_to_array", "array_to_bytes", "bytes_to_bytes"]


def decoder(name: str) -> tuple[Place, Callable[..., Any]]:
    """The place of a codec in a chain, and a decoder for `lazyzarr.codecs.registry.register`.

    Raises
    ------
    UnsupportedFeature
        ``codec-unknown``: zarr-python has no codec of this name.
    """
    try:
        kind = cast("Any", get_codec_class(name))
    except (KeyError, UnknownCodecError) as error:
        raise UnsupportedFeature(
            f"codec {name!r} is not registered with zarr-python; install its package, or register a decoder",
            reason="codec-unknown",
        ) from error
    if issubclass(kind, BytesBytesCodec):

        def decode_bytes(data: Bytes, configuration: Configuration, limit: int) -> Any:
            spec = _spec((limit,), np.dtype(np.uint8))
            return _run(name, kind, configuration, spec, Buffer.from_bytes(bytes(data))).as_numpy_array()

        return "bytes_to_bytes", decode_bytes
    if issubclass(kind, ArrayBytesCodec):

        def decode_serial(data: Bytes, configuration: Configuration, shape: tuple[int, ...], dtype: Any) -> Array:
            return _run(name, kind, configuration, _spec(shape, dtype), Buffer.from_bytes(bytes(data))).as_numpy_array()

        return "array_to_bytes", decode_serial
    if issubclass(kind, ArrayArrayCodec):

        def decode_array(array: Array, configuration: Configuration, shape: tuple[int, ...], dtype: Any) -> Array:
            buffer = NDBuffer.from_numpy_array(array)
            return _run(name, kind, configuration, _spec(shape, dtype), buffer).as_numpy_array()

        return "array_to_array", decode_array
    raise UnsupportedFeature(f"codec {name!r} of zarr-python is of no kind known here", reason="codec-unknown")


def _run(name: str, kind: Any, configuration: Configuration, spec: ArraySpec, data: Any) -> Any:
    codec = kind.from_dict({"name": name, "configuration": dict(configuration)}).evolve_from_array_spec(spec)
    try:
        return codec._decode_sync(data, spec)
    except ChunkError:
        raise
    except Exception as error:  # whatever a foreign codec raises, it says that the bytes are not its own
        raise malformed(name, error) from error


def _spec(shape: tuple[int, ...], dtype: np.dtype[Any]) -> ArraySpec:
    zdtype = get_data_type_from_native_dtype(dtype)
    fill = cast("Any", zdtype).default_scalar()
    return ArraySpec(shape, cast("Any", zdtype), fill, ArrayConfig.from_dict({}), default_buffer_prototype())
