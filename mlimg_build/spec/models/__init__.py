"""What a spec and a backend may say: pydantic models, one file a part."""
