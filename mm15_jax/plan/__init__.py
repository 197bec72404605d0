"""Plans of training runs: arithmetic, and the very step that trains compiled without hardware."""
