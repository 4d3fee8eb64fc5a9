"""TIFF and BigTIFF files, GeoTIFF among them: each page is an array of strips or tiles.

Owns the directory of tags and what it says of a page: shape, type, where its pieces are, how they are compressed.
The last strip of a page is as short as it is. Refuses pages that need an image decoder (JPEG, WebP, LERC and the
like) or cells that are no whole bytes, one page at a time; decodes nothing.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from lazyzarr.access.session import Session
from lazyzarr.access.url import shown
from lazyzarr.errors import LazyZarrError, ViewLimitError
from lazyzarr.formats.packing import Packing
from lazyzarr.formats.prefix import Prefix
from lazyzarr.formats.referenced import Member, Referenced, ReferencedGroup, Unreadable, text, unsupported
from lazyzarr.ir import fill
from lazyzarr.ir.data_type import from_numpy
from lazyzarr.ir.layout import Json, Layout, NamedConfig

_MOST_PAGES = 4096
_MOST_CHUNKS = 50_000_000
_FIELD = {
    1: "u1", 2: "S1", 3: "u2", 4: "u4", 5: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 10: "i4", 11: "f4", 12: "f8",
    13: "u4", 16: "u8", 17: "i8", 18: "u8",
}  # fmt: skip
_RATIONAL = (5, 10)
_ASCII = 2
_KIND = {1: "u", 2: "i", 3: "f"}
_DEFLATE = (8, 32946)
_LZW, _PACKBITS, _LZMA, _ZSTD = 5, 32773, 34925, 50000
_NAMES = {
    6: "JPEG", 7: "JPEG", 2: "CCITT", 3: "CCITT fax", 4: "CCITT fax", 34712: "JPEG 2000", 33003: "JPEG 2000",
    33005: "JPEG 2000", 34887: "LERC", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip
_ATTRIBUTES = {
    269: "document_name", 270: "description", 305: "software", 306: "date_time", 315: "artist",
    33550: "model_pixel_scale", 33922: "model_tiepoint", 34264: "model_transformation",
    34735: "geo_key_directory", 34736: "geo_double_params", 34737: "geo_ascii_params",
    42112: "gdal_metadata", 42113: "gdal_nodata",
}  # fmt: skip


def import_tiff(session: Session, url: str, *, packing: Packing = "auto") -> ReferencedGroup:
    """Describe every page of a file, under its number; ``packing`` has no meaning here.

    Raises
    ------
    SourceProtocolError
        ``source-format``: the file breaks the format.
    SourceChanged
        It was written to while it was read.
    """
    prefix = Prefix(session, url, "TIFF")
    order: Literal["<", ">"] = "<" if bytes(prefix.bytes(0, 2)) == b"II" else ">"
    big = int(np.frombuffer(prefix.bytes(2, 2), f"{order}u2")[0]) == 43
    reader = _Directories(prefix, order, big)
    members: dict[str, Member] = {}
    at = reader.number(8, 8) if big else reader.number(4, 4)
    seen: set[int] = set()
    while at:
        if at in seen or len(seen) >= _MOST_PAGES:
            raise prefix.malformed(f"its directories lead back to byte {at}, or are more than {_MOST_PAGES}")
        seen.add(at)
        tags, at = reader.directory(at)
        name = str(len(members))
        try:
            members[name] = _Page(name, tags, prefix, url, order).described()
        except LazyZarrError as error:
            members[name] = Unreadable(name, error.reason, f"page {name} of {shown(url)}: {error.args[0]}")
    prefix.finish()
    return ReferencedGroup("/", {}, members)


class _Directories:
    """The lists of tags."""

    def __init__(self, prefix: Prefix, order: Literal["<", ">"], big: bool) -> None:
        self.prefix = prefix
        self.order: Literal["<", ">"] = order
        self.big = big

    def number(self, at: int, width: int) -> int:
        return int(np.frombuffer(self.prefix.at(at, width), f"{self.order}u{width}")[0])

    def directory(self, at: int) -> tuple[dict[int, Any], int]:
        """Values by tag, and where the next directory is."""
        head, entry, word = (8, 20, 8) if self.big else (2, 12, 4)
        count = self.number(at, head)
        raw = self.prefix.at(at + head, count * entry + word)
        tags: dict[int, Any] = {}
        for number in range(count):
            one = raw[number * entry : (number + 1) * entry]
            tag, kind = (int(n) for n in np.frombuffer(one[:4], f"{self.order}u2"))
            length = int(np.frombuffer(one[4 : 4 + word], f"{self.order}u{word}")[0])
            if kind in _FIELD:
                tags[tag] = self._values(kind, length, one[4 + word :])
        return tags, int(np.frombuffer(raw[-word:], f"{self.order}u{word}")[0])

    def _values(self, kind: int, length: int, held: memoryview) -> Any:
        dtype = np.dtype(_FIELD[kind]).newbyteorder(self.order)
        cells = length * (2 if kind in _RATIONAL else 1)
        nbytes = cells * dtype.itemsize
        if nbytes > len(held):
            held = self.prefix.at(int(np.frombuffer(held, f"{self.order}u{len(held)}")[0]), nbytes)
        if kind == _ASCII:
            return text(bytes(held[:nbytes]).rstrip(b"\x00"))
        values = np.frombuffer(held[:nbytes], dtype)
        if kind in _RATIONAL:
            pairs = values.reshape(-1, 2).astype(np.float64)
            with np.errstate(all="ignore"):
                return pairs[:, 0] / pairs[:, 1]
        return values.astype(dtype.newbyteorder("="))


class _Page:
    """One directory."""

    def __init__(self, name: str, tags: dict[int, Any], prefix: Prefix, url: str, order: str) -> None:
        self.name, self.tags, self.prefix, self.url, self.order = name, tags, prefix, url, order

    def one(self, tag: int, default: int | None = None) -> int:
        values = self.tags.get(tag)
        if isinstance(values, np.ndarray) and len(values):
            if (values != values[0]).any():
                raise unsupported("TIFF", f"tag {tag} is {values.tolist()}", "samples of one kind are read; convert it")
            return int(values[0])
        if default is None:
            raise self.prefix.malformed(f"page {self.name} has no tag {tag}")
        return default

    def described(self) -> Referenced:
        width, height, samples = self.one(256), self.one(257), self.one(277, 1)
        if not (width and height and samples):
            raise self.prefix.malformed(f"page {self.name} has {height} rows of {width} cells of {samples} samples")
        dtype = self._dtype()
        tiled = 322 in self.tags
        rows, columns = (self.one(323), self.one(322)) if tiled else (min(self.one(278, height), height), width)
        if not (rows and columns):
            raise self.prefix.malformed(f"page {self.name} has pieces of {rows} rows of {columns} cells")
        planes = samples > 1 and self.one(284, 1) == 2
        down, across = -(-height // rows), -(-width // columns)
        count = down * across * (samples if planes else 1)
        if count > _MOST_CHUNKS:
            raise ViewLimitError("chunks", count, _MOST_CHUNKS, remedy="copy the image into larger tiles")
        offsets, lengths = self._pieces(324 if tiled else 273, 325 if tiled else 279, count)
        inner = 1 if planes else samples
        short = height % rows if not tiled and down > 1 else 0
        if short and planes:
            raise unsupported(
                "TIFF", f"its {samples} planes end with a strip of {short} rows instead of {rows}",
                "copy it into tiles, or with interleaved samples",
            )  # fmt: skip
        full = count - (across if short else 0)

        def shaped(lines: int, cells: int, bands: int) -> tuple[int, ...]:
            if samples == 1:
                return (lines, cells)
            return (bands, lines, cells) if planes else (lines, cells, samples)

        def part(lines: int, box: int, first: int, last: int, **more: Any) -> Referenced:
            layout = Layout(
                from_numpy(dtype.newbyteorder("=")),
                self._fill(dtype),
                shaped(box, columns, 1),
                self._codecs(dtype, columns, inner),
            )
            found: dict[str, np.ndarray] = {"offset": offsets[first:last], "length": lengths[first:last]}
            if not lengths[first:last].all():
                found["state"] = (lengths[first:last] > 0).astype(np.uint8)
            shape = shaped(lines, width, samples)
            return Referenced(self.name, shape, layout, found, (self.url,), (self.prefix.stamp,), **more)

        names = ("y", "x") if samples == 1 else ("band", "y", "x") if planes else ("y", "x", "band")
        tail = part(short, short, full, count) if short else None
        return part(height - short, rows, 0, full, attributes=self._attributes(), dimension_names=names, tail=tail)

    def _dtype(self) -> np.dtype[Any]:
        bits, kind = self.one(258, 1), self.one(339, 1)
        if kind == 4:
            kind = 1
        if kind not in _KIND or bits not in ((16, 32, 64) if kind == 3 else (8, 16, 32, 64)):
            raise unsupported("TIFF", f"its samples have {bits} bits of format {kind}", "convert it to whole bytes")
        if self.one(266, 1) != 1:
            raise unsupported("TIFF", "its bits are in reverse order", "convert it")
        if self.one(262, 1) in (6, 32844, 32845):
            raise unsupported("TIFF", "its colours are YCbCr or LogLuv", "convert it to RGB")
        return np.dtype(f"{self.order}{_KIND[kind]}{bits // 8}")

    def _pieces(self, offsets: int, lengths: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        columns = [self.tags.get(tag) for tag in (offsets, lengths)]
        for column in columns:
            if not isinstance(column, np.ndarray) or column.dtype.kind != "u" or len(column) != count:
                raise self.prefix.malformed(f"page {self.name} does not have the places of its {count} pieces")
        places, sizes = (np.asarray(column).astype(np.uint64) for column in columns)
        return places, sizes

    def _codecs(self, dtype: np.dtype[Any], width: int, samples: int) -> tuple[NamedConfig, ...]:
        codecs = [
            NamedConfig("bytes") if dtype.itemsize == 1 else NamedConfig("bytes", {"endian": _ENDIAN[self.order]})
        ]
        predictor, compression = self.one(317, 1), self.one(259, 1)
        conf = {"width": width, "samples": samples, "data_type": dtype.str.replace("|", "<")}
        if compression == 1:
            predictor = 1  # has a meaning for compressed pieces only
        if predictor == 2 and dtype.kind in "iu":
            codecs.append(NamedConfig("lazyzarr.tiff_horizontal", conf))
        elif predictor == 2:
            conf["data_type"] = f"{self.order}u{dtype.itemsize}"
            codecs.append(NamedConfig("lazyzarr.tiff_horizontal", conf))
        elif predictor == 3 and dtype.kind == "f":
            codecs.append(NamedConfig("lazyzarr.tiff_floating", conf))
        elif predictor != 1:
            raise unsupported("TIFF", f"its predictor is {predictor} for {dtype}", "convert it")
        codecs += _compressor(compression)
        return tuple(codecs)

    def _fill(self, dtype: np.dtype[Any]) -> Json:
        """What a piece that was never written reads as: GDAL's nodata value, and zero without one."""
        data_type = from_numpy(dtype.newbyteorder("="))
        try:
            value = float(str(self.tags.get(42113, "0")))
            with np.errstate(all="ignore"):
                cast = dtype.newbyteorder("=").type(value if dtype.kind == "f" else int(value))
        except (ValueError, OverflowError):
            return fill.zero(data_type)
        return fill.to_json(cast, data_type)

    def _attributes(self) -> dict[str, Json]:
        found = {name: self.tags[tag] for tag, name in _ATTRIBUTES.items() if tag in self.tags}
        return {name: value if isinstance(value, str) else value.tolist() for name, value in found.items()}


_ENDIAN = {"<": "little", ">": "big"}


def _compressor(number: int) -> list[NamedConfig]:
    if number == 1:
        return []
    if number in _DEFLATE:
        return [NamedConfig("numcodecs.zlib", {"level": 6})]
    if number == _ZSTD:
        return [NamedConfig("zstd", {"level": 9, "checksum": False})]
    if number == _LZMA:
        return [NamedConfig("numcodecs.lzma")]
    if number == _LZW:
        return [NamedConfig("lazyzarr.tiff_lzw")]
    if number == _PACKBITS:
        return [NamedConfig("lazyzarr.tiff_packbits")]
    raise unsupported("TIFF", f"its compression is {_NAMES.get(number, number)}", "convert it to deflate, zstd or LZW")
