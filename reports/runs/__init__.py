"""A run: the reports of a period are made in chunks, mailed, added up and watched.

Of `reports` it may import the document, the models, the periods and the storage. The tasks that do
the work import it, and are handed in.
"""
