"""The steps of which a history consists: each can be taken again, or skipped, and tells itself.

A step that does not apply to the world as it is (its process has ended, its task does not exist)
does nothing: a history stays playable when steps are left out of it.
"""
