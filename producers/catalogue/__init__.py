"""What there is to listen to: artists with invented names, albums, tracks, popularity, and the album to be released."""
