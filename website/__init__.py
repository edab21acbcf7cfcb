"""The documentation as a site: ``python -m website`` builds it below build/site, warnings as errors.

Pages are those of ``docs/`` and ``notebooks/``, which stay readable where they are. Here is what makes a site of them:
`sections` has their order, `staging` copies them, `reference` and `command_line` generate the pages about the package,
`names` finds its public names and their examples, and `conf` is read by Sphinx. Its extensions are in ``extensions/``.
"""
