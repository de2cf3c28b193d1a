"""What the runs say: `pairing` decides which runs and items belong together, `tables` lays them out."""
