"""Load that strangers bring, on PostgreSQL: streams, orders, floods, bodies, a stopped worker.

`make siege` brings all of it and prints what it cost the shop; with QUICK=1 it brings a tenth.
"""
