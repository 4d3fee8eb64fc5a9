"""Views as arrays: one Zarr array node beside a saved view, for tools that look for arrays."""
