"""The plans of a response to vulnerable container images: one repository, one or more digests, one rebuild for all."""
