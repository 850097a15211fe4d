"""AWS's rest-json protocol, server side, and Signature Version 4: bytes <-> (operation, parameters)."""
