"""Charts: data labels beside their categories (geometry), and values read off an axis (pixels)."""
