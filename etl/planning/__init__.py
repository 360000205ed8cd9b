"""The rules: what is proven, what is missing, where to walk, when to stop.

Pure: no clock, network, database or thread.
"""
