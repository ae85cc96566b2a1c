"""`manage.py doctor`: asks every part of the system for real, and says what to do.

Each question has a file that says what is asked; `examination` asks them all. May import
everything; nothing but the command imports this room, and the app, which makes its task known.
"""
