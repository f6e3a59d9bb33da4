"""One module a system: what it sends and what it computes, as a ledger."""
