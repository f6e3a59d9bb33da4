"""Figures from data frames; nothing else of the project imports matplotlib."""
