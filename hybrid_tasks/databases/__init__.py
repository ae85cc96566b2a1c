"""What differs between databases: their clocks, and which errors say that one is away.

Imports nothing of ours.
"""
