"""The figures of a report, one module each: from analyzed numbers to a matplotlib figure.

A function takes the language of its labels, and returns ``None`` where there is nothing to draw.
Captions are in the templates.
"""
