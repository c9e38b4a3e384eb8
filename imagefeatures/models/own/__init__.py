"""A model from a file that the user names: what the dataset file says of it, and how the file becomes vectors.

declared        the fields of `model:`, where it is a mapping
files           reads the file, or the files of a folder, and takes their digest
hdf5_layers     the arrays of a Keras HDF5 file, by the layers of a known architecture
protobuf        the fields of a protobuf message, without the libraries that run models
checks          what is refused before any library parses the file
graph           a file that OpenVINO reads: where it can be cut, and the cut model
keras_graph     a file that Keras reads: the same
child           what runs in the process that parses a stranger's file
process         this process: its start, its limits, and what its end means
resolve         what the steps need to know of the model, found once and kept in the lake
"""
