"""Technical workflows of core_default, one file each."""
