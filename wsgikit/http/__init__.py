"""Words of HTTP that several rooms share: headers, cookies, content negotiation, addresses, files, requests, responses.

Nothing here knows the engine. Nothing is imported with the package: a module is loaded by what uses it.
"""
