"""Views in xarray: datasets of views, the accessor ``.lazyzarr`` and the backend ``engine="lazyzarr"``."""
