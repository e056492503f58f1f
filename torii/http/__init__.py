"""What every REST client of Torii needs: replies with a largest size, requests that can be cut, and failures in words."""
