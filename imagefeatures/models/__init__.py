"""The models: what defines each one's numbers, and the fingerprint that stands beside every vector.

spec       what a model is: architecture, input, scale, cut, width, weights; and its fingerprint
backbones  the models by name
weights    find the file, read its arrays, check their digest
reference  the model in Keras: the numbers that every engine must reproduce
engines    pixels to vectors, fast: one module an engine
gpus       which GPU a process computes on, and how many images at once
prepare    the model step: build, prove, and keep the engine-ready files in the lake
"""
