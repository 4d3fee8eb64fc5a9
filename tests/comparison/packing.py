"""Files whose scale factor drifted: run with ``python -m tests.comparison.packing``."""

import numpy as np

from tests.comparison.peers import Part, Row, main

CELLS = np.arange(1, 5, dtype="int16")
ROW = Row(
    [Part(CELLS, (2,), attrs=(("scale_factor", scale),), fill=-1) for scale in (0.1, 0.2)],
    np.concatenate([CELLS * 0.1, CELLS * 0.2]),
)

if __name__ == "__main__":
    main(ROW)
