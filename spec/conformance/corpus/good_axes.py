"""Good cases of one source whose axes are cut, turned, dropped, inserted, repeated and gathered."""

from __future__ import annotations

import numpy as np

import lazyzarr as lz
from corpus.cases import Case, ramp


def source(case: Case) -> None:
    """An array as it is stored."""
    cells = ramp(5, 6)
    case.save(
        case.zarr("a.zarr", cells, (2, 3), fill_value=-1),
        cells,
        fill_value=-1,
        flatness="L0",
        chunks=6,
        placements=1,
        about="one stored array as it is; its last chunk is longer than what is left of the array",
    )


def index_aligned(case: Case) -> None:
    """A cut that begins at a chunk border and ends anywhere."""
    cells = ramp(9, 4)
    case.save(
        case.zarr("a.zarr", cells, (3, 4), fill_value=0)[3:8],
        cells[3:8],
        fill_value=0,
        flatness="L0",
        chunks=2,
        placements=1,
        about="a cut at a chunk border stays flat whatever its end is: the grid may overhang",
    )


def index_step(case: Case) -> None:
    """Steps over several chunks."""
    cells = ramp(11, 7)
    case.save(
        case.zarr("a.zarr", cells, (4, 3), fill_value=0)[1:11:3, ::2],
        cells[1:11:3, ::2],
        fill_value=0,
        flatness="L2",
        chunks=9,
        placements=1,
        about="steps that are no divisor of the chunk length",
    )


def index_negative_step(case: Case) -> None:
    """Reversal, and a negative step, where the last chunk is padded."""
    cells = ramp(10, 5)
    case.save(
        case.zarr("a.zarr", cells, (4, 2), fill_value=99)[::-1, 3:0:-2],
        cells[::-1, 3:0:-2],
        fill_value=99,
        flatness="L2",
        chunks=6,
        placements=1,
        about="negative steps; the padding of the last chunk comes first and is never seen",
    )


def index_negative_step_of_single_cells(case: Case) -> None:
    """Reversal of an axis in chunks of one cell."""
    cells = ramp(4, 3)
    case.save(
        case.zarr("a.zarr", cells, (1, 3), fill_value=0)[::-1],
        cells[::-1],
        fill_value=0,
        flatness="L0",
        chunks=4,
        placements=1,
        about="a reversed axis in chunks of one cell is a reordering of whole chunks",
    )


def index_integer(case: Case) -> None:
    """An axis dropped at one cell."""
    cells = ramp(4, 3, 5)
    case.save(
        case.zarr("a.zarr", cells, (2, 2, 5), fill_value=0)[:, 2],
        cells[:, 2],
        fill_value=0,
        flatness="L2",
        chunks=2,
        placements=1,
        about="an integer drops its axis",
    )


def index_nothing(case: Case) -> None:
    """No cells of an axis."""
    cells = ramp(4, 3)
    case.save(
        case.zarr("a.zarr", cells, (2, 2), fill_value=7)[2:2],
        cells[2:2],
        fill_value=7,
        flatness="L0",
        chunks=0,
        placements=0,
        about="an empty selection has a shape and reads nothing",
    )


def new_axis(case: Case) -> None:
    """Axes of length 1 inserted in front, within and behind."""
    cells = ramp(4, 3)
    case.save(
        case.zarr("a.zarr", cells, (2, 3), fill_value=0)[None, :, None, :, None],
        cells[None, :, None, :, None],
        fill_value=0,
        flatness="L0",
        chunks=2,
        placements=1,
        about="inserted axes have length 1",
    )


def broadcast(case: Case) -> None:
    """An axis of length 1 repeated, and a new one in front."""
    cells = ramp(1, 4)
    case.save(
        case.zarr("a.zarr", cells, (1, 3), fill_value=0).broadcast_to((2, 3, 4)),
        np.broadcast_to(cells, (2, 3, 4)),
        fill_value=0,
        flatness="L0",
        chunks=2,
        placements=1,
        about="a repeated axis reads each chunk once",
    )


def transpose(case: Case) -> None:
    """A permutation that is not its own inverse."""
    cells = ramp(2, 3, 4)
    case.save(
        case.zarr("a.zarr", cells, (1, 2, 3), fill_value=0).transpose(2, 0, 1),
        cells.transpose(2, 0, 1),
        fill_value=0,
        flatness="L0",
        chunks=8,
        placements=1,
        about="axes in another order; with (2, 0, 1) an inverse instead shows",
    )


def take(case: Case) -> None:
    """Cells gathered in any order and repeatedly."""
    cells = ramp(7, 4)
    rows = [5, 0, 0, 6, 2, 3]
    case.save(
        case.zarr("a.zarr", cells, (3, 2), fill_value=0).take(rows, axis=0),
        cells[rows],
        fill_value=0,
        flatness="L2",
        chunks=6,
        about="a gather in any order with repeats; the indices are in the document",
    )


def take_table(case: Case) -> None:
    """A gather by a table that is a child array."""
    cells = ramp(64)
    rows = np.arange(300) * 37 % 64
    case.save(
        case.zarr("a.zarr", cells, (16,), fill_value=0).take(rows, axis=0),
        cells[rows],
        fill_value=0,
        flatness="L2",
        chunks=4,
        about="the indices of a gather are a child array of the view",
    )


def orthogonal(case: Case) -> None:
    """Gathers along two axes of three."""
    cells = ramp(4, 5, 3)
    case.save(
        case.zarr("a.zarr", cells, (2, 2, 3), fill_value=0).oindex[[3, 1], :, [2, 2, 0]],
        cells[[3, 1]][:, :, [2, 2, 0]],
        fill_value=0,
        flatness="L2",
        chunks=6,
        about="gathers along two axes are an outer product",
    )


def everything_in_a_row(case: Case) -> None:
    """Cut, turn, gather, insert and drop, one above the other."""
    cells = ramp(6, 5, 4)
    view = case.zarr("a.zarr", cells, (4, 2, 3), fill_value=0)
    case.save(
        view[1:, ::-1].transpose(1, 2, 0).take([3, 0, 3], axis=1)[::2, None, :, -1],
        cells[1:, ::-1].transpose(1, 2, 0)[:, [3, 0, 3]][::2, None, :, -1],
        fill_value=0,
        flatness="L2",
        chunks=6,
        about="index, transpose, take, index and broadcast above each other",
    )


def dimensions_and_attributes(case: Case) -> None:
    """Names of dimensions and the user's own attributes."""
    cells = ramp(3, 4, dtype="float32")
    attributes = {"units": "K", "valid_range": [0, 400], "history": {"by": "hand", "steps": [1, 2.5, None, True, "ä"]}}
    view = case.zarr("a.zarr", cells, (3, 4), fill_value=0, dimension_names=["t", "x"])
    case.save(
        view.rename_dims({"t": "time"}).with_attrs(attributes),
        cells,
        fill_value=0.0,
        flatness="L0",
        chunks=1,
        placements=1,
        dims=["time", "x"],
        attributes=attributes,
        about="dimension names and attributes of the user stand beside the view",
    )


def constant(case: Case) -> None:
    """A value that is stored nowhere."""
    case.save(
        lz.full((2, 3), -0.0, dtype="float64"),
        np.full((2, 3), -0.0),
        fill_value=-0.0,
        flatness="L0",
        chunks=0,
        placements=0,
        about="a constant; the sign of zero is kept",
    )


CASES = (
    *(source, index_aligned, index_step, index_negative_step, index_negative_step_of_single_cells, index_integer),
    *(index_nothing, new_axis, broadcast, transpose, take, take_table, orthogonal, everything_in_a_row),
    *(dimensions_and_attributes, constant),
)
