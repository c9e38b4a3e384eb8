"""Code that tests share: the servers that they start, the images and runs that they make. It contains no test."""
