"""Declarative definitions of datasets: `resolve` turns one into a saved group of views.

People write a definition; resolving lists, opens and checks the files and saves the graph. Readers never list anything.
"""
