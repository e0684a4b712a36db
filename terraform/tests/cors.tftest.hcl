mock_provider "aws" {
  source = "./tests/mocks"
}

run "without_origins_the_api_is_as_packaged" {
  variables {
    cors_origins = []
  }

  assert {
    condition     = aws_api_gateway_rest_api.rest_api.body == local.chalice_api_swagger
    error_message = "Without origins, nothing in the API's description changes."
  }

  assert {
    condition     = !strcontains(lower(aws_api_gateway_rest_api.rest_api.body), "access-control-")
    error_message = "Without origins, no error of API Gateway has a CORS header."
  }

  assert {
    condition     = aws_lambda_function.api_handler.environment[0].variables.CORS_ORIGINS == ""
    error_message = "Without origins, the function allows no origin."
  }
}

run "with_origins_a_preflight_needs_no_token" {
  variables {
    cors_origins = ["https://app.example.com", "http://localhost:5173"]
  }

  assert {
    condition = aws_lambda_function.api_handler.environment[0].variables.CORS_ORIGINS == (
      "https://app.example.com http://localhost:5173"
    )
    error_message = "The function gets the origins."
  }

  assert {
    condition = jsonencode({
      for path, methods in jsondecode(aws_api_gateway_rest_api.rest_api.body).paths :
      path => { for method, description in methods : method => description.security }
      }) == jsonencode({
      "/events" = {
        get                              = [{ authorizer = [] }]
        head                             = [{ authorizer = [] }]
        options                          = []
        post                             = [{ authorizer = [] }]
        "x-amazon-apigateway-any-method" = [{ authorizer = [] }]
      }
      "/events/{event_id}" = {
        get                              = [{ authorizer = [] }]
        head                             = [{ authorizer = [] }]
        options                          = []
        "x-amazon-apigateway-any-method" = [{ authorizer = [] }]
      }
    })
    error_message = "OPTIONS has no authorizer. Every other method has one."
  }

  assert {
    condition = alltrue([
      for path, methods in jsondecode(aws_api_gateway_rest_api.rest_api.body).paths : (
        jsonencode(methods.options["x-amazon-apigateway-integration"])
        == jsonencode(methods["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"])
      )
    ])
    error_message = "The function responds to a preflight, through the same alias as to every other request."
  }

  assert {
    condition = alltrue([
      for kind, response in jsondecode(aws_api_gateway_rest_api.rest_api.body)["x-amazon-apigateway-gateway-responses"] : (
        response.responseParameters["gatewayresponse.header.Access-Control-Allow-Origin"] == "'*'"
        && response.responseParameters["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
      )
    ])
    error_message = "A page can read each error that API Gateway makes itself."
  }

  assert {
    condition = jsonencode({
      for kind, response in jsondecode(aws_api_gateway_rest_api.rest_api.body)["x-amazon-apigateway-gateway-responses"] :
      kind => [response.statusCode, response.responseTemplates]
      }) == jsonencode({
      for kind, response in jsondecode(local.chalice_api_swagger)["x-amazon-apigateway-gateway-responses"] :
      kind => [response.statusCode, response.responseTemplates]
    })
    error_message = "Status and text of API Gateway's errors are the same as without origins."
  }

  assert {
    condition = jsonencode({
      for name, part in jsondecode(aws_api_gateway_rest_api.rest_api.body) :
      name => part if !contains(["paths", "x-amazon-apigateway-gateway-responses"], name)
      }) == jsonencode({
      for name, part in jsondecode(local.chalice_api_swagger) :
      name => part if !contains(["paths", "x-amazon-apigateway-gateway-responses"], name)
    })
    error_message = "Nothing else in the API's description changes."
  }

  assert {
    condition     = aws_api_gateway_method_settings.this.method_path == "*/*"
    error_message = "OPTIONS is throttled like the other methods."
  }
}
