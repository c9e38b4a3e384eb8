"""What is said of each published partition: its statistics, how far it is from those before, and alerts.

declared    the field `alerts` of a dataset file
sketch      mean and covariance sketch of vectors, added up in one pass
measure     the statistics of a partition's rows
drift       how far the vectors of a partition are from those of others, and what chance makes of that
judge       which values are out of the bounds of `alerts`
record      all of it, into features.statistics
notify      calls what is to be told of alerts
"""
