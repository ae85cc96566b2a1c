"""The nightly cleanup: the rows and the files that are no longer needed.

Of `reports` it may import the models, the periods and the storage.
"""
