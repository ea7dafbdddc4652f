"""The model's backbones."""
