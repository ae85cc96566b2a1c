"""A report as a document: the rows it is built of, its numbers, its PDF, the charts of the pages.

Of `reports` it may import the models and the periods.
"""
