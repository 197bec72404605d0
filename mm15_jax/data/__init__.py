"""Data sets on disk, mixtures, the pack plan and the input pipeline: numpy only, no JAX.

One example's way: `prepare` writes a data set as ArrayRecord shards of canonical Examples
(`records`), `index` counts its tokens and tiles without decoding a pixel, `mixture` orders the
records of several data sets, `pack_plan` lays them into rows under a token and a tile budget, and
`pipeline` decodes only the rows that this host needs into a `batch` of static shapes.
"""
