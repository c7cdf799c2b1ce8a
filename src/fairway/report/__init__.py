"""What people read: comparisons, tables, pictures, one self-contained page."""
