"""Studies that compare methods in target clinics on the same subjects."""
