# What one can do in this checkout. Each target is a script in scripts/, which says what it does and why.
# All that the targets make stays in target/ and .local/.

.DEFAULT_GOAL := help
.PHONY: help run stop clean-data test chaos bench lint

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' Makefile | awk -F'|' '{ printf "%-18s%s\n", $$1, $$2 }'

run: ## install what is missing, start PostgreSQL and Kafka, build, and serve the API on 127.0.0.1:8080
	@scripts/run.sh

stop: ## stop the PostgreSQL and Kafka of `make run`, if it could not do so itself; the data stays
	@scripts/services.sh stop run

clean-data: ## stop them and remove their data: the next `make run` begins anew
	@scripts/services.sh clean run

test: ## run every test, on throw-away servers
	@scripts/test.sh

chaos: ## break everything under load for a quarter of an hour and see that nothing is lost; repeat a run: make chaos SEED=42 ONLY=kill
	@SOUK_CHAOS_SEED=$${SOUK_CHAOS_SEED:-$(SEED)} scripts/chaos.sh $(ONLY)

bench: ## measure against baselines, on throw-away servers; a part: make bench ROWS=store; only to see that it runs: QUICK=1
	@scripts/bench.sh $(if $(QUICK),--quick) $(ROWS)

lint: ## check format, clippy, documentation, licences and sources of dependencies
	@scripts/lint.sh
