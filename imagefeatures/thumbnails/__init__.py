"""Small JPEGs of objects that the tables name, for people to look at. They are ours: no byte of an original is shown.

make    from an object, or from the pixels that a table has kept, to a thumbnail
folder  where thumbnails are kept, up to so many bytes
stored  the bytes of an object, if they are still those that the table names
pixels  the pixels that a table has kept
"""
