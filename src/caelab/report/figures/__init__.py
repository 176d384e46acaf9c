"""The figures of a report, drawn from analyzed numbers.

Each drawing function takes the language of the labels. Captions are in the templates.
"""
