//! The server with its etcd, driven by a small pump.
