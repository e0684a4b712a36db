# All commands of this project. `make` without a target lists them.
.DEFAULT_GOAL := help
.PHONY: help run token logs contract-token test contract bench batch-bench scale openapi breaking site package lock release use-release region init check-package plan show-plan pack-plan use-plan unlock apply shift rollback url deploy-local destroy-local restore-drill restore-events compare-events copy-events dashboard-picture clean
SHELL := /bin/sh

venv := .venv
python := $(venv)/bin/python
installed := $(venv)/.installed
packaging := build/packaging
wheels = $(packaging)/wheels
PORT ?= 8000
AUTH ?= on
WORKERS ?= 4
STAGE ?= dev
terraform := terraform -chdir=terraform
# Only a stage's tfvars file has its region. The state of all stages is in the region of prod.
region_of = $(or $(shell sed -n 's/^[[:blank:]]*region[[:blank:]]*=[[:blank:]]*"\([a-z0-9-]*\)".*/\1/p' \
  terraform/stages/$(1).tfvars 2>/dev/null),$(error terraform/stages/$(1).tfvars has no region: add it, as in \
  region = "eu-central-1"))
LOCK ?= true
PLATFORMS ?= linux_amd64 linux_arm64 darwin_amd64 darwin_arm64
# In CI, Terraform never changes the versions of a lock file that is there: a committed one, or that of a plan.
lockfile = $(if $(CI),$(if $(wildcard terraform/.terraform.lock.hcl),-lockfile=readonly))
print_sha256 := 'import hashlib; print(hashlib.sha256(open("build/plan.tar", "rb").read()).hexdigest())'
fits := 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))'

help: ## list the targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'

run: $(installed) ## run the API on http://127.0.0.1:8000 (PORT=8001 for another port, AUTH=off for no tokens)
	@PORT="$(PORT)" AUTH="$(AUTH)" exec $(python) eventsapp/local

token: $(installed) ## create, list, show, revoke or rotate a caller's token: make token ARGS="create --help"
	@$(python) eventsapp/token_cli.py $(ARGS)

logs: $(installed) ## follow a deployed stage's logs: make logs STAGE=prod (REQUEST_ID=... shows one request, SINCE=30d looks back)
	@$(python) eventsapp/logs_cli.py --stage "$(STAGE)" $(if $(REQUEST_ID),--request-id "$(REQUEST_ID)") $(if $(SINCE),--since "$(SINCE)")

contract-token: $(installed) ## give the workflow a new token for a stage, for 90 days: make contract-token STAGE=prod REPO=owner/name
	@test -n "$(REPO)" || { echo "make contract-token: REPO is not set: name the repository on GitHub, as in: make contract-token STAGE=$(STAGE) REPO=owner/name" >&2; exit 2; }
	@token=$$($(python) eventsapp/token_cli.py create --stage "$(STAGE)" --tenant contract --name contract \
	  --scope events:write --scope events:read --expires 90d --retention 1d) && \
	  printf %s "$$token" | gh secret set CONTRACT_TOKEN --env "$(STAGE)-check" -R "$(REPO)"

# Without this variable, each of the many processes need not compile the project's modules again.
test: $(installed) ## check everything: pylint, pytest, coverage (WORKERS=8 for more tests at once)
	@rm -rf build/coverage; mkdir -p build/coverage; trap 'rm -rf build/coverage' EXIT; trap 'exit 1' HUP INT TERM; \
	  unset PYTHONDONTWRITEBYTECODE; $(python) -m coverage run -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder && \
	  $(python) -m coverage combine --quiet && \
	  $(python) -m coverage report
	@echo "make test: all passed (pylint 10/10, pytest, branch coverage of eventsapp/ at least 95 %)."

contract: $(installed) ## check a running API against the contract: EVENT_API_TOKEN=evt_... make contract URL=http://127.0.0.1:8000
	@test -n "$(URL)" || { echo "make contract: URL is not set: name the API, as in: make contract URL=http://127.0.0.1:8000" >&2; exit 2; }
	@$(python) -m pytest tests/test_contract*.py --url $(URL)

bench: $(installed) ## measure the app against a bare Lambda handler (two minutes; PEERS=1 adds frameworks, TLS=1 uses TLS)
	@PYTHONPATH=tests PEERS="$(PEERS)" TLS="$(TLS)" ROUNDS="$(ROUNDS)" $(python) -m bench

batch-bench: $(installed) ## compare a batch of 100 with 100 POSTs to a running API: EVENT_API_TOKEN=evt_... make batch-bench URL=...
	@test -n "$(URL)" && test -n "$$EVENT_API_TOKEN" || { echo "make batch-bench: URL or EVENT_API_TOKEN is not set: name the API and its token, as in: EVENT_API_TOKEN=evt_... make batch-bench URL=http://127.0.0.1:8000" >&2; exit 2; }
	@PYTHONPATH=tests ROUNDS="$(ROUNDS)" $(python) -m bench.batch "$(URL)"

scale: $(installed) ## simulate DynamoDB's partitions at 10,000 events a second with 1, 4 and 16 shards (seconds)
	@PYTHONPATH=eventsapp $(python) tests/scale.py

openapi: $(installed) ## write docs/openapi.json from the code; commit it
	@PYTHONPATH=eventsapp $(python) -m openapi

breaking: ## compare docs/openapi.json with the last release: fail if callers must change
	@PYTHONPATH=eventsapp python3 -m openapi.breaking

site: $(installed) ## write the page of docs/openapi.json into build/site, for a web server
	@PYTHONPATH=eventsapp $(python) -c 'from pathlib import Path; from local import page; page.write_site(Path("build/site"))'
	@echo "make site: wrote build/site."

package: $(installed) ## build a stage's zip and its Terraform: make package STAGE=prod (default: dev)
	@$(python) terraform/package.py "$(STAGE)"
	@PYTHONPATH=terraform:eventsapp $(python) -m merge

lock: $(installed) ## pin packages and Terraform providers by their checksums; commit the files that it writes
	@$(python) terraform/lock.py
	@for root in terraform terraform/oidc; do \
	  terraform -chdir=$$root providers lock $(addprefix -platform=,$(PLATFORMS)) || exit 1; \
	done

release: $(packaging)/.installed ## build the zip and each stage's Terraform, as the workflow does, and print the digest (Linux)
	@PIP_CONFIG_FILE=/dev/null PIP_NO_INDEX=1 PIP_FIND_LINKS="$(abspath $(wheels))" \
	  PYTHONPATH=terraform:eventsapp $(packaging)/bin/python terraform/release.py

use-release: ## take a stage's package from make release: make use-release STAGE=prod DIGEST=0123abcd...
	@python3 terraform/use_release.py "$(STAGE)" "$(or $(DIGEST),$(error make use-release: DIGEST is not set: use the \
	  digest that make release printed))"

region: ## print a stage's region: make region STAGE=prod
	@echo "$(call region_of,$(STAGE))"

init: ## connect terraform/ to a stage's state; make plan does this too: make init STAGE=dev
	@TF_CLI_CONFIG_FILE="$${TF_CLI_CONFIG_FILE:-$(CURDIR)/terraform/providers.tfrc}" \
	  $(terraform) init -input=false -reconfigure $(lockfile) -backend-config=stages/$(STAGE).s3.tfbackend \
	  -backend-config=region=$(call region_of,prod) \
	  -backend-config=bucket=event-api-state-$(or $(AWS_ACCOUNT_ID),$(error make $@: AWS_ACCOUNT_ID is not set: set it, as in \
	  make $@ STAGE=$(STAGE) AWS_ACCOUNT_ID=123456789012))

check-package:
	@python3 terraform/check_package.py "$(STAGE)"
	@python3 terraform/sources.py "$(STAGE)"

plan: check-package init ## plan a packaged stage in the account of your AWS credentials: make plan STAGE=dev
	@$(terraform) plan -input=false -lock=$(LOCK) -var-file=stages/$(STAGE).tfvars -out=$(STAGE).tfplan

show-plan: ## print the plan of make plan as Markdown, for the summary of a workflow: make show-plan STAGE=dev
	@mkdir -p build && $(terraform) show -no-color $(STAGE).tfplan >build/plan.txt
	@test "$$(wc -c <build/plan.txt)" -le 700000 || { echo "make show-plan: the plan is longer than GitHub can show: deploy by hand, or in smaller changes." >&2; exit 1; }
	@echo "## The plan of $(STAGE)"; echo; sed 's/^/    /' build/plan.txt

# The plan and the choice of the providers' versions: Terraform applies a plan only with the same versions.
pack-plan: ## put the plan of make plan into build/plan.tar, and print its SHA-256: make pack-plan STAGE=dev
	@mkdir -p build && tar -C terraform -cf build/plan.tar $(STAGE).tfplan .terraform.lock.hcl
	@python3 -c $(print_sha256)

use-plan: ## take the plan from build/plan.tar, for make apply: make use-plan STAGE=dev SHA256=...
	@test "$$(python3 -c $(print_sha256))" = "$(SHA256)" || { echo "make use-plan: build/plan.tar has another SHA-256 than the plan that was made. Do not apply it: find out who changed it." >&2; exit 1; }
	@tar -C terraform -xf build/plan.tar $(STAGE).tfplan .terraform.lock.hcl

unlock: init ## remove the lock that a killed deployment left: make unlock STAGE=dev LOCK_ID=...
	@$(terraform) force-unlock "$(or $(LOCK_ID),$(error make unlock: LOCK_ID is not set: use the ID that Terraform printed))"

apply: ## apply the plan of make plan: make apply STAGE=dev
	@$(terraform) apply -input=false $(STAGE).tfplan

# The workflow's jobs install no packages. There, Python runs without a virtual environment and calls the AWS CLI.
release_python = PYTHONPATH=eventsapp $(if $(CI),python3,$(python))

shift: $(if $(CI),,$(installed)) ## move a stage's traffic to the newest versions, after make apply: make shift STAGE=prod (ALARMS=off)
	@$(release_python) terraform/shift.py "$(STAGE)" "$$ALARMS"

rollback: $(if $(CI),,$(installed)) ## move a stage's traffic back to the versions before the last release: make rollback STAGE=prod
	@$(release_python) terraform/rollback.py "$(STAGE)" "$$RELEASE" "$$TABLE" "$$SHARDS"

url: ## print the URL of the stage that was planned last
	@$(terraform) output -raw api_url

deploy-local: $(installed) ## deploy with Terraform to an emulated AWS on this machine; run it again to deploy a change
	@command -v terraform >/dev/null || { echo "make deploy-local: terraform is not installed: install 1.10 or newer: https://developer.hashicorp.com/terraform/install" >&2; exit 1; }
	@PYTHONPATH=eventsapp:terraform $(python) -m emulator up

destroy-local: $(installed) ## remove the local deployment and the emulated AWS
	@PYTHONPATH=eventsapp:terraform $(python) -m emulator destroy

restore-drill: $(installed) ## restore events on an emulated AWS of its own, with the commands of docs/operations.md
	@command -v terraform >/dev/null || { echo "make restore-drill: terraform is not installed: install 1.10 or newer: https://developer.hashicorp.com/terraform/install" >&2; exit 1; }
	@PYTHONPATH=eventsapp:terraform $(python) -m emulator drill

restore_cli = $(python) eventsapp/restore_cli.py $@ --stage "$(STAGE)"

restore-events: $(installed) ## restore a table as it was at a time: make restore-events STAGE=prod AT=2026-01-31T09:30:00Z
	@$(restore_cli) --from "$(or $(FROM),events)" --to "$(or $(TO),$(or $(FROM),events)-restored)" --at "$(AT)"

compare-events: $(installed) ## count what a table lacks: make compare-events STAGE=prod FROM=events TO=events-restored
	@$(restore_cli) --from "$(FROM)" --to "$(TO)" $(if $(UNITS),--units "$(UNITS)")

copy-events: $(installed) ## copy what a table lacks: make copy-events STAGE=prod FROM=events-restored TO=events LIFT_POLICY=1
	@$(restore_cli) --from "$(FROM)" --to "$(TO)" $(if $(UNITS),--units "$(UNITS)") $(if $(LIFT_POLICY),--lift-policy)

dashboard-picture: $(installed) ## draw docs/dashboard.svg again: deploy to an emulated AWS, send requests, read the metrics
	@command -v terraform >/dev/null || { echo "make $@: terraform is not installed: install 1.10 or newer: https://developer.hashicorp.com/terraform/install" >&2; exit 1; }
	@PYTHONPATH=tests:eventsapp:terraform $(python) -m picture

clean: ## remove all files that the other targets made, also the local events and deployment
	@test ! -d .local-aws || $(MAKE) destroy-local
	rm -rf $(venv) .local .pytest_cache .hypothesis build
	rm -rf eventsapp/.chalice/deployments terraform/chalice.tf.json terraform/deployment.zip
	rm -rf terraform/.terraform terraform/*.tfplan terraform/oidc/.terraform

define find_python
for candidate in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
	  if $$candidate -c $(fits) 2>/dev/null; then found=$$candidate; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo "make: $(or $(PYTHON),python3) is not Python 3.11 to 3.14: install one of these, or name it with PYTHON=/path/to/python3.12." >&2; exit 1; \
	fi
endef

$(installed): requirements-dev.txt eventsapp/local/requirements.txt eventsapp/requirements.txt
	@set -e; \
	$(find_python); \
	echo "Installing into $(venv) (once; under a minute) ..." >&2; \
	$$found -m venv --clear $(venv) || { echo "make: $$found cannot make a virtual environment: install its venv module (Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; }; \
	$(python) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt && \
	$(python) -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: -r eventsapp/local/requirements.txt || { echo "make: the install failed, for the reason above: fix it (is the package index reachable?) and run make again." >&2; exit 1; }; \
	touch $(installed)

# pip downloads only wheels with the hashes of the file. Then it installs from these wheels, without the index.
$(packaging)/.installed: terraform/requirements-package.txt
	@set -e; \
	$(find_python); \
	$$found -m venv --clear $(packaging); \
	$(packaging)/bin/python terraform/lock.py $(wheels); \
	$(packaging)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
	  --no-index --find-links $(wheels) -r terraform/requirements-package.txt; \
	touch $@
