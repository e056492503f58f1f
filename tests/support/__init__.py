"""Plain parts that several test folders share: waiting, ports, what is installed here, servers to test against."""
