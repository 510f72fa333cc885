"""What happens to a batch: each block a file, each a function over Arrow record batches."""
