"""Profiles that say where a build runs; found by name: `mlimg build SPEC --backend local`."""
