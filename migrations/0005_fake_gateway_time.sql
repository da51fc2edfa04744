-- When the fake gateway entered a charge, by its own clock: set when the row is written, so it tells how soon after a
-- timer was due the gateway had been asked. Only read by measurements.
alter table fake_gateway_charges add column entered_at timestamptz not null default clock_timestamp();
