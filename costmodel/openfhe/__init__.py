"""Designs that run through OpenFHE's API alone, in OpenFHE's own serialisation."""
