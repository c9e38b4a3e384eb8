"""Exports: a table's vectors or pixels as one file, or as a folder of files, in the form that another tool reads.

    formats         the formats by name and suffix
    export          an export from the request to the finished file
    rows            the rows in order of URI, in bounded memory
    order           their order, from the footers of the files or from all URIs
    windows         rows put at their places
    reading         the files that they are read from
    content         what an export holds; a batch of it
    originals       the images themselves, read again
    components      principal components of the vectors
    estimate        the size of an export before it is written
    targets         a finished file under its name, or none
    folder_target   the same of a folder
    s3_target       the same in an object store
    tables          record batches with labels, flat or not
    hdf5, npy, npz, tfrecord, webdataset, csv, parquet, arrow

A module of a format has `write(content, batches, path)`, which writes the batches to a local file or folder.
"""
