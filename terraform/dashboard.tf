# The stage on one page: alarms, traffic, latency, errors, capacity, and what costs money.
resource "aws_cloudwatch_dashboard" "this" {
  count = var.alarms == null ? 0 : 1

  dashboard_name = "event-api-${var.stage}"
  dashboard_body = jsonencode({
    widgets = [for number, widget in concat(local.status_widgets, local.metric_widgets) : {
      type       = widget.type
      x          = number % 2 * 12
      y          = floor(number / 2) * 6
      width      = 12
      height     = 6
      properties = merge({ region = var.region, view = "timeSeries", stat = "Sum", period = 60 }, widget.properties)
    }]
  })
}

locals {
  # Logs Insights reads the log each time somebody looks: a metric for each outcome would cost more.
  status_widgets = [
    {
      type = "alarm"
      properties = {
        title = "Alarms"
        alarms = [
          for name in values(local.alarm_names) :
          "arn:${data.aws_partition.this.partition}:cloudwatch:${local.region_and_account}:alarm:${name}"
        ]
      }
    },
    {
      type = "log"
      properties = {
        title = "Requests by outcome"
        query = join(" | ", [
          "SOURCE '/aws/lambda/event-api-${var.stage}'",
          "filter message = 'request'",
          "stats count(*) as requests by outcome",
          "sort requests desc",
        ])
        view = "table"
      }
    },
  ]

  metric_widgets = [for title, widget in local.metrics_of_widgets : {
    type = "metric"
    properties = merge(
      {
        title = title
        yAxis = { left = { min = 0 } }
        metrics = concat(
          [for metric in widget.metrics : concat(
            [metric.namespace, metric.name],
            flatten([for name, value in metric.dimensions : [name, value]]),
            [{ for name, value in metric.show : name => value if value != null }],
          )],
          # Units per second, to compare with the caps.
          [for id in try(widget.per_second, []) : [{ id = "${id}_rate", expression = "${id}/PERIOD(${id})", label = id }]],
        )
      },
      try({ annotations = { horizontal = [for label, value in widget.caps : { label = label, value = value }] } }, {}),
    )
  }]

  # Each metric has a label: CloudWatch's own one is often the same for several lines.
  plain    = { stat = null, label = null, id = null, visible = null }
  api      = { ApiName = "event-api-${var.stage}", Stage = var.stage }
  handler  = { FunctionName = "event-api-${var.stage}" }
  checker  = { FunctionName = "event-api-${var.stage}-authorizer" }
  capacity = var.table_capacity == null ? var.request_caps.events : { read = var.table_capacity.read.max, write = var.table_capacity.write.max }

  metrics_of_widgets = {
    "1. Requests by method" = {
      metrics = [for route in [["GET", "/events"], ["POST", "/events"], ["GET", "/events/{event_id}"]] : {
        namespace  = "AWS/ApiGateway"
        name       = "Count"
        dimensions = merge(local.api, { Method = route[0], Resource = route[1] })
        show       = merge(local.plain, { label = join(" ", route) })
      }]
    }
    "2. Latency in milliseconds, p50 and p99" = {
      metrics = flatten([for stat in ["p50", "p99"] : [for kind in [
        { namespace = "AWS/ApiGateway", name = "Latency", dimensions = local.api, label = "API" },
        { namespace = "AWS/Lambda", name = "Duration", dimensions = local.handler, label = "function" },
        { namespace = "AWS/Lambda", name = "Duration", dimensions = local.checker, label = "authorizer" },
      ] : merge(kind, { show = merge(local.plain, { stat = stat, label = "${kind.label} ${stat}" }) })]])
    }
    "3. Errors" = {
      metrics = concat(
        [{ namespace = "AWS/ApiGateway", name = "4XXError", dimensions = local.api, show = merge(local.plain, { label = "api-4xx" }) }],
        [for name, metric in local.counted : metric if !contains(local.refusals, name)],
      )
    }
    "4. Throttles and refused requests" = {
      metrics = [for name, metric in local.counted : metric if contains(local.refusals, name)]
    }
    "5. Read units per second, and the cap" = {
      metrics    = [for metric in local.units : metric if metric.name == "ConsumedReadCapacityUnits"]
      per_second = [for metric in local.units : metric.show.id if metric.name == "ConsumedReadCapacityUnits"]
      caps       = { "cap of the events and each index" = local.capacity.read, "cap of the tokens" = var.request_caps.tokens.read }
    }
    "6. Write units per second, and the cap" = {
      metrics    = [for metric in local.units : metric if metric.name == "ConsumedWriteCapacityUnits"]
      per_second = [for metric in local.units : metric.show.id if metric.name == "ConsumedWriteCapacityUnits"]
      caps       = { "cap of the events and each index" = local.capacity.write, "cap of the tokens" = var.request_caps.tokens.write }
    }
    "7. What costs money: requests and units" = {
      metrics = [for label, metric in merge(
        {
          "requests"         = { namespace = "AWS/ApiGateway", name = "Count", dimensions = local.api }
          "function calls"   = { namespace = "AWS/Lambda", name = "Invocations", dimensions = local.handler }
          "authorizer calls" = { namespace = "AWS/Lambda", name = "Invocations", dimensions = local.checker }
        },
        { for unit in ["Read", "Write"] : "events: ${lower(unit)} units" => {
          namespace  = "AWS/DynamoDB"
          name       = "Consumed${unit}CapacityUnits"
          dimensions = { TableName = local.events_table.name }
        } },
      ) : merge(metric, { show = merge(local.plain, { label = label }) })]
    }
    "8. What costs money: bytes of the logs" = {
      metrics = [for label, group in {
        "function"   = "/aws/lambda/event-api-${var.stage}"
        "authorizer" = "/aws/lambda/event-api-${var.stage}-authorizer"
        "access log" = "/aws/apigateway/event-api-${var.stage}"
        } : {
        namespace  = "AWS/Logs"
        name       = "IncomingBytes"
        dimensions = { LogGroupName = group }
        show       = merge(local.plain, { label = label })
      }]
    }
  }

  # What each alarm counts, with the alarm's name as label.
  counted = { for name, alarm in local.alarms : name => {
    namespace  = alarm.namespace
    name       = alarm.metric
    dimensions = alarm.dimensions
    show       = merge(local.plain, { label = name })
  } if !endswith(name, "-slow") }
  refusals = [for name in keys(local.counted) : name if endswith(name, "-throttled") || contains(keys(local.caller_alarms), name)]

  # The consumed units of both tables and of each index. They are hidden: the widgets show the rates.
  units = flatten([for kind in ["Read", "Write"] : [
    for label, dimensions in merge(
      {
        events = { TableName = local.events_table.name }
        tokens = { TableName = "event-api-${var.stage}-tokens" }
      },
      { for index in keys(local.indexes) : index => {
        TableName                = local.events_table.name
        GlobalSecondaryIndexName = index
      } },
      ) : {
      namespace  = "AWS/DynamoDB"
      name       = "Consumed${kind}CapacityUnits"
      dimensions = dimensions
      show       = merge(local.plain, { id = label, visible = false })
    }
  ]])
}
