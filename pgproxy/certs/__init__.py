"""
`pgproxy certs`: what the manual makes with openssl in "Creating Certificates".

::

    names      which names a certificate may have
    issuing    a certificate, a revocation list: signed, nothing read or written
    files      written whole or not at all; keys are never readable by others
    index      what a CA has issued and revoked
    folder     a CA: its certificates, its keys, its index
    summary    what the commands print

The authority of the tests, `pgproxy.testing.authority`, signs with `issuing` too.
"""
