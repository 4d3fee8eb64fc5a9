"""What kind of file some bytes are from: HDF5 or not, and if not, what else they look like.

Owns the search for the HDF5 signature, which a user block may precede, and names for other kinds, for error messages
alone. Refuses to judge by names of files, and needs nothing but the bytes.
"""

from __future__ import annotations

from collections.abc import Buffer, Callable

_HDF5 = b"\x89HDF\r\n\x1a\n"
_FIRST_USER_BLOCK = 512
_KINDS: tuple[tuple[bytes, str], ...] = (
    (b"CDF\x01", "NetCDF-3"),
    (b"CDF\x02", "NetCDF-3 with 64-bit offsets"),
    (b"CDF\x05", "NetCDF-3 with 64-bit data"),
    (b"\x0e\x03\x13\x01", "HDF4"),
    (b"GRIB", "GRIB"),
    (b"SIMPLE  =", "FITS"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "BigTIFF"),
    (b"\x1f\x8b", "gzip"),
    (b"(\xb5/\xfd", "Zstandard"),
    (b"PK\x03\x04", "Zip"),
    (b"PAR1", "Parquet"),
    (b"%PDF", "PDF"),
    (b"<", "HTML or XML"),
    (b"{", "JSON"),
)


def is_hdf5(read: Callable[[int, int], Buffer], size: int) -> bool:
    """Whether the HDF5 signature is at byte 0, 512, 1024, 2048, ...

    Parameters
    ----------
    read
        Bytes of the file, given how many and from where; fewer where the file ends.
    size
        How far to look [bytes].

    Examples
    --------
    >>> text = bytes(1024) + b"\\x89HDF\\r\\n\\x1a\\n"
    >>> is_hdf5(lambda size, offset: text[offset : offset + size], len(text)), is_hdf5(lambda *_: b"CDF", 3)
    (True, False)
    """
    at = 0
    while at + len(_HDF5) <= size:
        if bytes(read(len(_HDF5), at)) == _HDF5:
            return True
        at = max(_FIRST_USER_BLOCK, at * 2)
    return False


def described(start: bytes) -> str:
    """The first bytes of a file in words.

    Examples
    --------
    >>> described(b"GRIB...."), described(b"whatever"), described(b"")
    ("it begins with b'GRIB....', as GRIB does", "it begins with b'whatever'", 'it is empty')
    """
    if not start:
        return "it is empty"
    kind = next((name for magic, name in _KINDS if start.startswith(magic)), None)
    return f"it begins with {start[:8]!r}" + (f", as {kind} does" if kind else "")
