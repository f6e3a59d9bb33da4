"""The bucketed query of a prompt: a folded query a bucket, and a look-up of the buckets' shares for every position."""
