"""What generative models are used for, beyond draws and densities: one file per use."""
