"""Every system that can be priced, one module each."""
