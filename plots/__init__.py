"""Figures from data frames; nothing else of the project imports matplotlib.

Every figure is a function of one data frame, in the module that :mod:`fastquery.figures` names beside its data. Title
and caption are the arguments ``title`` and ``source``, or, left out, the frame's attributes of these names.
"""
