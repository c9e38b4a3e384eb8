"""Classifiers on the features: what SparkML fits, and everything about it that needs no Spark. docs/classify.md

declared    the field `classify` of a dataset file
places      the URIs of its files
job         what one fit is: its rows, its settings, its id
split       which rows are held out, which labels are fitted
portable    the fitted classifier as NumPy arrays
predict     predictions for the rows of a snapshot, as files of a table
metrics     what a table of confusions says
promotion   whether a classifier takes the place of the last one
confusion   the table of confusions as a picture
publish     the tables, and which classifier predicts
expiry      which classifiers are kept
columns     the columns of the two tables
tables      reading them
"""
