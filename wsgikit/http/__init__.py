"""Words of HTTP that several rooms share: headers, cookies, content negotiation, addresses, files, requests, responses.

Nothing here knows the engine. Nothing is imported with the package: each module costs only whoever needs it.
"""
