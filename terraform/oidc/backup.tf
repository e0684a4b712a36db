# Copies of prod's tables that no deployment can reach: the deploy roles have no permission of AWS Backup. The vault is
# locked, so a copy cannot be deleted before its time. https://docs.aws.amazon.com/aws-backup/latest/devguide/vault-lock.html
locals {
  # `destroy_backups` keeps the vault until the root is destroyed, also after the protection has ended.
  backed_up = contains(local.protected, "prod") || var.destroy_backups ? { prod = local.names.prod } : {}

  copy_account = var.backup.copy_to == null ? null : split(":", var.backup.copy_to)[4]
}

resource "aws_backup_vault" "this" {
  for_each = local.backed_up

  name          = "event-api-${each.key}"
  kms_key_arn   = aws_kms_key.backup[each.key].arn
  force_destroy = var.destroy_backups
}

# Without `lock_days`, a person with permissions of AWS Backup can still remove the lock (governance mode). With it,
# nobody can after this number of days, not even AWS (compliance mode).
resource "aws_backup_vault_lock_configuration" "this" {
  for_each = var.destroy_backups ? {} : local.backed_up

  backup_vault_name   = aws_backup_vault.this[each.key].name
  min_retention_days  = var.backup.keep_days
  changeable_for_days = var.backup.lock_days
}

resource "aws_backup_plan" "this" {
  for_each = local.backed_up

  name = "event-api-${each.key}"

  rule {
    rule_name         = "daily"
    target_vault_name = aws_backup_vault.this[each.key].name
    schedule          = "cron(0 17 * * ? *)" # UTC; 01:00 in Singapore
    start_window      = 60                   # minutes
    completion_window = 480

    lifecycle {
      cold_storage_after = var.backup.cold_after_days == 0 ? null : var.backup.cold_after_days
      delete_after       = var.backup.keep_days
    }

    dynamic "copy_action" {
      for_each = var.backup.copy_to == null ? [] : [var.backup.copy_to]

      content {
        destination_vault_arn = copy_action.value

        lifecycle {
          cold_storage_after = var.backup.cold_after_days == 0 ? null : var.backup.cold_after_days
          delete_after       = var.backup.keep_days
        }
      }
    }
  }
}

resource "aws_backup_selection" "this" {
  for_each = local.backed_up

  name         = "tables"
  plan_id      = aws_backup_plan.this[each.key].id
  iam_role_arn = aws_iam_role.backup[each.key].arn
  resources    = concat(each.value.events, [each.value.tokens])
}

# AWS Backup makes and restores backups with this role. Its two policies are AWS's own.
resource "aws_iam_role" "backup" {
  for_each = local.backed_up

  name               = "event-api-backup-${each.key}"
  description        = "By which AWS Backup makes and restores backups of the Event API, ${each.key}."
  assume_role_policy = data.aws_iam_policy_document.service_trust["backup"].json
}

resource "aws_iam_role_policy_attachment" "backup" {
  for_each = local.backed_up

  role       = aws_iam_role.backup[each.key].name
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForBackup"
}

resource "aws_iam_role_policy_attachment" "restore" {
  for_each = local.backed_up

  role       = aws_iam_role.backup[each.key].name
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForRestores"
}

# A key of its own: another account cannot copy backups that AWS's key encrypts. The backups do not need the tables' key.
# https://docs.aws.amazon.com/aws-backup/latest/devguide/create-cross-account-backup.html
resource "aws_kms_key" "backup" {
  for_each = local.backed_up

  description             = "Backups of the Event API, ${each.key}."
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.backup_key.json
}

resource "aws_kms_alias" "backup" {
  for_each = local.backed_up

  name          = "alias/event-api-backup-${each.key}"
  target_key_id = aws_kms_key.backup[each.key].key_id
}

data "aws_iam_policy_document" "backup_key" {
  # checkov:skip=CKV_AWS_109:The resource of a key's policy is the key; IAM decides who may administer it.
  # checkov:skip=CKV_AWS_111:The resource of a key's policy is the key.
  # checkov:skip=CKV_AWS_356:The resource of a key's policy is the key.
  statement {
    sid       = "Account" # IAM decides who in this account may use the key
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["${local.iam}:root"]
    }
  }

  dynamic "statement" {
    for_each = local.copy_account == null ? [] : [local.copy_account]

    content {
      sid       = "Copy"
      actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
      resources = ["*"]

      principals {
        type        = "AWS"
        identifiers = ["arn:${local.partition}:iam::${statement.value}:root"]
      }
    }
  }

  dynamic "statement" {
    for_each = local.copy_account == null ? [] : [local.copy_account]

    content {
      sid       = "CopyGrants"
      actions   = ["kms:CreateGrant"]
      resources = ["*"]

      principals {
        type        = "AWS"
        identifiers = ["arn:${local.partition}:iam::${statement.value}:root"]
      }

      condition {
        test     = "Bool"
        variable = "kms:GrantIsForAWSResource"
        values   = ["true"]
      }
    }
  }
}
