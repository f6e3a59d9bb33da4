"""Extension of the shares of packed channels to the bits that a next layer needs."""
