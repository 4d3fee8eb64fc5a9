"""A file that was written again with other cells: run with ``python -m tests.comparison.changed``."""

import h5py
import numpy as np
import zarr

from tests.comparison.peers import Part, Row, main


def damage() -> None:
    """Another state of the second file, of the same layout."""
    with h5py.File("1.nc", "r+") as file:
        file["v"][...] = 100
    zarr.open_array("1.zarr", mode="r+")[...] = 100


CELLS = np.arange(1, 5, dtype="int16")
ROW = Row([Part(CELLS, (2,), None, fill=-1), Part(CELLS + 4, (2,), None, fill=-1)], None, damage=damage)

if __name__ == "__main__":
    main(ROW)
