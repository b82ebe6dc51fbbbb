"""Measurements of speed, one file for each thing that is measured."""
