"""Read, check and explain `torii.yml` and `server.yml`."""
