"""Feature maps: the vectors of chosen partitions on a plane, computed once for what is published of them.

choice   of which published partitions a map is; an audit too
compute  which photos it shows, where each lies, and which others are nearest to it
stored   maps in the lake: one file each, until what it shows is published anew, taken back or forgotten
on_look  maps that a process of their own computes when somebody looks for the first time
"""
