"""How the tables are read: the parts behind `imagefeatures.read`.

parquet     record batches of the data files that a plan names
vectors     the vectors of a batch as an array
values      what is read of each row: vectors or pixels
dataset     one snapshot of a dataset, pinned
labels      labels as numbers
stream      batches for training: shared among workers, in mixed order
tensorflow  the same as a tf.data.Dataset
torch       the same as an IterableDataset
"""
