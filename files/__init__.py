"""Files: what may be uploaded, where it is kept, and the links by which it is fetched."""
