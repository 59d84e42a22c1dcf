"""ecgbook: classifying printed ECGs, from a published result to an honest one.

The modules stand in the order in which the data flow, and each imports only from those before it. Nothing
heavy is imported here: ``import ecgbook`` costs nothing, ``from ecgbook import data`` costs pandas and
Pillow.
"""

__version__ = "0.1.0"
