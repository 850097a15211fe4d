"""AWS's query protocol, as `iam` and `sts` speak it: form-encoded requests, answers in XML."""
