"""Models that a server of somebody's own computes: TensorFlow Serving's predict, and the Open Inference Protocol.

declared  the field `engine` as a mapping, and the field `model` of a model whose file is not here
client    one request: its deadline, its retries, the most that is read of an answer
server    what the two protocols have in common, and the model of a server as both describe it
kserve    the Open Inference Protocol (KServe's V2)
predict   TensorFlow Serving's predict (KServe's V1)
connect   the protocol that an engine names
settle    what plan asks a server: the model's version, its input, and its vectors of the golden pictures

The engine itself is imagefeatures.models.engines.serving.
"""
