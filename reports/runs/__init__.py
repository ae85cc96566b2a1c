"""A run: the reports of a period are made in chunks, mailed, added up and watched.

Of `reports` it may import the document, the models, the periods and the storage.
"""
