"""Files: what can be uploaded, where it is stored, and the signed links to download it."""
