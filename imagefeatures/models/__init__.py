"""The models: what defines the numbers of each, and the fingerprint that every vector carries.

spec       what a model is: architecture, input, scale, cut, width, weights; and its fingerprint
backbones  the models by name
declared   the fields model, models and engine of a dataset file
pinning    the digest of weights that the package does not know: taken at first use, held in the lake
downloads  weights from the network, held to the digest of the file
hdf5       HDF5 files of strangers: what of them is read
weights    finds the file, reads its arrays, checks their digest
reference  the model in Keras: the numbers that every engine must reproduce
mobilenet  MobileNetV2 in OpenVINO's own operators, made without Keras
engines    pixels to vectors, fast: one module for each engine
own        models from users' files: read, checked, cut, and made ready for an engine
gpus       which GPU a process computes on, and how many images at once
prepare    the model step: builds, verifies and writes the engine-ready files in the lake
prepared   the same files in the cache folder, for a fresh lake
"""
