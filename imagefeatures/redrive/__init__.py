"""A re-drive: quarantined objects of a published partition are taken again, and what is whole now is merged into it.

choose      which objects, and what the partition holds besides them; asked by plan's side, of the catalog
left_out    the partitions that cannot be taken again, where all were asked for
selection   what was chosen, as a file of the run: the jobs need no catalog
relisting   the source's listing, cut down to what was chosen
merge       what the run publishes: its own rows and those of the partition

A re-drive is a run like any other, with the same steps, receipts, audit and publication. Its run.json names the run
that the partition must hold until it is published: where that is another one by then, nothing is merged.
"""
