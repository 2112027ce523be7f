"""Test vectors: pictures in every variant of the four formats, and what each must look like to a model."""
