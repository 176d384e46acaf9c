"""``caelab app``: a page in the browser for people who do not type commands.

browser ──► server ──► guard (host, origin, size) ──► a view: restore, understand, code, runs
                                                         └──► jobs: work that takes time

Each view is a module with its routes and templates. The Python interface offers all computations
that a view does.
"""
