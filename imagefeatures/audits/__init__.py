"""What the vectors of a dataset say of its photos: which labels are probably wrong, and which photos are there twice.

gallery     the photos of one snapshot in memory, each image once, and the nearest others of each
index       the nearest others of more photos than can be compared with each other
labels      photos whose neighbours have another label
duplicates  photos with the same bytes, and photos that show the same picture
centres     how far each photo of a partition is from the centre of its label
kept        audits of published partitions, computed once in a process of their own
overlap     whether one picture is the other, or a part of it, by their pixels
"""
