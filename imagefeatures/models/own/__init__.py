"""A model from a file that the user names: what the dataset file says of it, and how the file becomes vectors.

declared        the fields of `model:`, where it is a mapping
describe        what a file says of itself, and what follows from it and from the fields
resolve         what the steps need to know of the model, found once and kept in the lake
files           reads the file, or the files of a folder, and takes their digest
checks          what is refused before any library parses the file
onnx_nodes      what a node of an ONNX file asks for that OpenVINO passes over
protobuf        the fields of a protobuf message, without the libraries that run models
keras_config    the configuration inside a Keras file, and what it may be made of
process         the process that parses a stranger's file: its start, its limits, and what its end means
child           what runs in it
graph           a file that OpenVINO reads: where it can be cut, and the cut model
keras_graph     a file that Keras reads: the same
keras_arrays    the arrays of a Keras HDF5 file, by the layers of a known architecture
"""
