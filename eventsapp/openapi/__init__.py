"""Describes the API as OpenAPI 3.1, from the declarations in eventsapp/. Nothing here ships to Lambda."""
