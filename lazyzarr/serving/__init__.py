"""Views over HTTP: plain Zarr v3 for any client in any language, and a page that says what is served."""
