"""What figures are measured on."""
