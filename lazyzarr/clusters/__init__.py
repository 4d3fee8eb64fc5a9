"""Views on many cores and machines: as dask arrays, copied, and in batches."""
