"""The pydantic models of a spec and of a backend, one file per part."""
