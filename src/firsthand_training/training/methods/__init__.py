"""Networks that can be trained here, each with its objective; the loop knows none of them by name."""
