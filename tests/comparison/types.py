"""Files of float32, then of float64: run with ``python -m tests.comparison.types``."""

import numpy as np

from tests.comparison.peers import Part, Row, main

CELLS = np.array([0.1, 0.2, 0.3, 0.4])
ROW = Row(
    [Part(CELLS.astype("float32"), (2,), fill=-1), Part(CELLS, (2,), fill=-1)],
    np.concatenate([CELLS.astype("float32"), CELLS]),
)

if __name__ == "__main__":
    main(ROW)
