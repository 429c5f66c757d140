"""Studies: methods compared in target clinics on the same subjects."""
