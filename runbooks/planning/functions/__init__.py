"""The plans of a response to vulnerable Lambda functions: one or more of them, and what they have in common."""
