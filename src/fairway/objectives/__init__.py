"""How models learn: one file per principle."""
