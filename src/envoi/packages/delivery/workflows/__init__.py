"""Technical workflows of delivery, one file each."""
