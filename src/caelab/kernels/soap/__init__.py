"""The update of SOAP for small matrices, in compiled loops."""
