"""What the methods of a view do: one module per kind of operation, each adding nodes and reading nothing."""
