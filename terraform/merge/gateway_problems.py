"""The errors that API Gateway makes itself, as the problems that the API documents."""

import json

from chalicelib import batch, media_types, problem

from .document import Json

THROTTLE_RETRY, QUOTA_RETRY = 1, 3600  # seconds; a throttle refills all the time; nobody knows when a quota ends
INVALID_BODY = problem.Fault("", f"must be a JSON object, or a JSON array of 1 to {batch.MAX_EVENTS} objects")

# https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
GATEWAY_PROBLEMS: dict[str, problem.Problem] = {
    "ACCESS_DENIED": problem.Forbidden(),
    # Also if the function ends without a response, because it ran out of time or memory.
    "API_CONFIGURATION_ERROR": problem.ServiceUnavailable(),
    # Also if the authorizer raises, is throttled, or runs out of time.
    "AUTHORIZER_CONFIGURATION_ERROR": problem.AuthorizerUnavailable(),
    "AUTHORIZER_FAILURE": problem.AuthorizerUnavailable(),
    "BAD_REQUEST_BODY": problem.InvalidEvent([INVALID_BODY]),
    "BAD_REQUEST_PARAMETERS": problem.BadRequest(),
    "DEFAULT_4XX": problem.BadRequest(),
    # Any other failure of API Gateway. A repeated request stores nothing twice, so callers may always retry.
    "DEFAULT_5XX": problem.ServiceUnavailable(),
    "EXPIRED_TOKEN": problem.PathNotFound(),  # see INVALID_SIGNATURE
    # Also if Lambda throttles the function.
    # https://repost.aws/questions/QUL-z6rJbmR4meafB7MzYXxw
    "INTEGRATION_FAILURE": problem.ServiceUnavailable(),
    "INTEGRATION_TIMEOUT": problem.ServiceTimeout(),
    "INVALID_API_KEY": problem.Forbidden(),
    # An unknown path, with an Authorization header that is not a signature of AWS's.
    "INVALID_SIGNATURE": problem.PathNotFound(),
    "MISSING_AUTHENTICATION_TOKEN": problem.PathNotFound(),  # an unknown path, without an Authorization header
    "QUOTA_EXCEEDED": problem.TooManyRequests(QUOTA_RETRY),
    "REQUEST_TOO_LARGE": batch.too_large(),
    "RESOURCE_NOT_FOUND": problem.PathNotFound(),
    "THROTTLED": problem.TooManyRequests(THROTTLE_RETRY),
    "UNAUTHORIZED": problem.Unauthorized(),
    "UNSUPPORTED_MEDIA_TYPE": problem.UnsupportedMediaType(media_types.EXPECTED),
    "WAF_FILTERED": problem.RequestBlocked(),
}


def gateway_response(error: problem.Problem) -> Json:
    """Return API Gateway's description of a problem. Its request id is the one in the access log."""
    return {
        "statusCode": str(error.status),
        "responseParameters": {f"gatewayresponse.header.{name}": f"'{text}'" for name, text in error.headers.items()},
        # API Gateway uses its only template for every Accept header. It sends the Content-Type above.
        "responseTemplates": {"application/json": json.dumps(error.body("$context.requestId"))},
    }
