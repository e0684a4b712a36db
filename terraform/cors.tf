# Web pages of other origins may call the API if `cors_origins` lists them (CORS). If the list is empty, API Gateway
# gets the packaged description unchanged.
locals {
  api_description = length(var.cors_origins) == 0 ? local.description : jsonencode(local.swagger_with_cors)

  swagger = jsondecode(local.description)
  swagger_with_cors = merge(local.swagger, {
    # A browser sends a preflight without a token, so OPTIONS has no authorizer. The function responds to it.
    paths = {
      for path, methods in local.swagger.paths : path => merge(methods, {
        options = merge(methods["x-amazon-apigateway-any-method"], { security = [], summary = "Answer a preflight." })
      })
    }

    # Pages of every origin may read API Gateway's own errors. They are the same for every caller, without secrets.
    "x-amazon-apigateway-gateway-responses" = {
      for kind, response in local.swagger["x-amazon-apigateway-gateway-responses"] : kind => merge(response, {
        responseParameters = merge(response.responseParameters, {
          "gatewayresponse.header.Access-Control-Allow-Origin"   = "'*'"
          "gatewayresponse.header.Access-Control-Expose-Headers" = "'Retry-After, WWW-Authenticate'"
        })
      })
    }
  })
}
