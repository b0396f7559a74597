"""One module for each kind of source: ``Config``, the connector's class, and ``build``.

To add a kind, write such a module and name it in ``connectors.registry``; to add a site of a kind
that is here, write a few lines into the book's ``sources.yml``.
"""
