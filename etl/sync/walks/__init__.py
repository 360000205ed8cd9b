"""The walks of one run: their threads, the pages that they bring, and the saves."""
