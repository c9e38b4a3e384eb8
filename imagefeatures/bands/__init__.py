"""Pictures of bands: TIFF, .npy, PNG and JPEG files whose samples are taken as they are stored, with no conversion.

    decode    from bytes to the model's input, in the decode process
    tiff      the samples of a TIFF, by Pillow's libtiff where they are compressed
    picture   the picture in memory, and what a chain does to it

What the headers may declare: `imagefeatures.formats.npy` and `imagefeatures.formats.tiff_bands`. What a dataset
declares: `imagefeatures.preprocessing.bands`.
"""
