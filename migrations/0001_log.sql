-- The event log: the one source of truth. The first seven columns are what postgres-es expects, so that a plain
-- postgres-es program reads and writes this table; the last three are ours.
create table events (
    aggregate_type text not null,
    aggregate_id   text not null,
    sequence       bigint not null check (sequence >= 0),
    event_type     text not null,
    event_version  text not null,
    payload        json not null, -- json, not jsonb: a third of the cost to write, and the text stays as it was written
    metadata       json not null, -- an object of string to string
    position       bigint not null, -- dense, global, in commit order
    event_id       uuid not null,
    recorded_at    timestamptz not null, -- set under the lock of the log, never smaller than the one before
    primary key (aggregate_type, aggregate_id, sequence), -- one stream in order; the optimistic lock of postgres-es
    constraint events_position unique (position) -- the feed: `where position > $1 order by position`; the head: its last row
);

-- History by time ("as of"): recorded_at grows with position, so a block range index of a few pages serves.
create index events_recorded_at on events using brin (recorded_at);

-- History is never rewritten, not even by mistake.
create function refuse_rewriting_history() returns trigger language plpgsql as $$
begin
    raise exception 'the event log is append-only' using errcode = 'integrity_constraint_violation';
end $$;
create trigger events_append_only before update or delete or truncate on events
    for each statement execute function refuse_rewriting_history();

-- The number of the advisory lock that orders all writers of the log ('Souk' in ASCII).
create function log_lock() returns bigint language sql immutable parallel safe as 'select 1399813483::bigint';

-- A plain postgres-es program inserts rows without our three columns: they are filled under the same lock.
-- The lock and the read are two statements, because one statement would read with a snapshot older than the lock.
create function position_plain_event() returns trigger language plpgsql as $$
declare
    head record;
begin
    perform pg_advisory_xact_lock(log_lock());
    select e.position, e.recorded_at into head from events e order by e.position desc limit 1;
    new.position := coalesce(head.position, 0) + 1;
    new.event_id := coalesce(new.event_id, gen_random_uuid());
    new.recorded_at := greatest(clock_timestamp(), coalesce(head.recorded_at, '-infinity'));
    return new;
end $$;
create trigger events_position_plain before insert on events
    for each row when (new.position is null) execute function position_plain_event();

-- What a client's Idempotency-Key led to: written by the append itself, in the transaction of the events.
-- The id is a digest of principal, method, route and key; the answer is a status and the id of a resource, never a body.
create table idempotency_keys (
    id          uuid primary key,
    fingerprint bytea not null, -- HMAC of the canonical request body
    status      smallint not null,
    resource    text not null,
    position    bigint not null,
    recorded_at timestamptz not null
);
-- Expired keys are removed by age, the oldest first. Not a block range index: once the space of removed rows is used
-- again, blocks hold rows of every age. New entries all go to the right-most page, which is cheap.
create index idempotency_keys_recorded_at on idempotency_keys (recorded_at);

-- Uniqueness across streams (a sku in its region, the default region of a currency): also written by the append itself.
create table claims (
    scope text not null,
    value text not null,
    owner text not null,
    primary key (scope, value)
);

-- Snapshots of aggregate states; written after the commit, from committed state; one of another state version is ignored,
-- and so is one of an event that the log does not hold (any more: a server may write it after a failover that lost it).
create table aggregate_snapshots (
    aggregate_type text not null,
    aggregate_id   text not null,
    sequence       bigint not null,
    event_id       uuid not null,
    state_version  integer not null,
    state          json not null,
    primary key (aggregate_type, aggregate_id)
);

-- What postgres-es expects for programs that keep snapshots in its way. Souk itself does not read it.
create table snapshots (
    aggregate_type   text not null,
    aggregate_id     text not null,
    last_sequence    bigint not null check (last_sequence >= 0),
    current_snapshot bigint not null check (current_snapshot >= 0),
    payload          json not null,
    primary key (aggregate_type, aggregate_id, last_sequence)
);

-- Appends one batch in one transaction of one statement: one round trip.
--
-- outcome 'appended': all is written; head_* name the new head.
-- outcome 'moved':    the head is not the expected one; nothing is written; head_* name the head there is.
-- outcome 'taken':    nothing is written; `taken_keys` are the idempotency keys already used, `taken_claims` the
--                     1-based indexes of claims that belong to another owner.
--
-- The settings: plans for tables that are empty at first and huge later must be by index from the start,
-- and a batch must not be planned again for each call.
create function append_events(
    expected_position bigint, expected_event_id uuid,
    aggregate_types text[], aggregate_ids text[], sequences bigint[], event_types text[], event_versions text[],
    payloads text[], metadatas text[], event_ids uuid[],
    key_ids uuid[], key_fingerprints bytea[], key_statuses smallint[], key_resources text[], key_offsets bigint[],
    claim_scopes text[], claim_values text[], claim_owners text[],
    release_scopes text[], release_values text[],
    out outcome text, out head_position bigint, out head_event_id uuid, out head_recorded_at timestamptz,
    out taken_keys uuid[], out taken_claims bigint[]
) language plpgsql set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    batch_size bigint := coalesce(array_length(event_ids, 1), 0);
begin
    perform pg_advisory_xact_lock(log_lock());
    -- a statement of its own: it must see what the last holder of the lock committed
    select e.position, e.event_id, e.recorded_at into head_position, head_event_id, head_recorded_at
        from events e order by e.position desc limit 1;
    if not found then
        head_position := 0;
        head_event_id := '00000000-0000-0000-0000-000000000000';
        head_recorded_at := '-infinity';
    end if;
    if head_position <> expected_position or head_event_id <> expected_event_id then
        outcome := 'moved';
        return;
    end if;

    if array_length(key_ids, 1) > 0 then
        select array_agg(k.id) into taken_keys from idempotency_keys k where k.id = any (key_ids);
    end if;
    if array_length(claim_scopes, 1) > 0 then
        select array_agg(wanted.ordinal) into taken_claims
            from unnest(claim_scopes, claim_values, claim_owners) with ordinality as wanted (scope, value, owner, ordinal)
            join claims c on c.scope = wanted.scope and c.value = wanted.value and c.owner <> wanted.owner
            where not exists (
                select 1 from unnest(release_scopes, release_values) as released (scope, value)
                where released.scope = wanted.scope and released.value = wanted.value);
    end if;
    if taken_keys is not null or taken_claims is not null then
        outcome := 'taken';
        return;
    end if;

    head_recorded_at := greatest(clock_timestamp(), head_recorded_at);
    if batch_size > 0 then
        insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
                            position, event_id, recorded_at)
            select e.aggregate_type, e.aggregate_id, e.sequence, e.event_type, e.event_version, e.payload::json,
                   e.metadata::json, expected_position + e.ordinal, e.event_id, append_events.head_recorded_at
            from unnest(aggregate_types, aggregate_ids, sequences, event_types, event_versions, payloads, metadatas,
                        event_ids) with ordinality
                as e (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, event_id,
                      ordinal);
        head_position := expected_position + batch_size;
        head_event_id := event_ids[batch_size];
    end if;
    if array_length(key_ids, 1) > 0 then
        insert into idempotency_keys (id, fingerprint, status, resource, position, recorded_at)
            select k.id, k.fingerprint, k.status, k.resource, expected_position + k.key_offset,
                   clock_timestamp()
            from unnest(key_ids, key_fingerprints, key_statuses, key_resources, key_offsets)
                as k (id, fingerprint, status, resource, key_offset);
    end if;
    if array_length(release_scopes, 1) > 0 then
        delete from claims c using unnest(release_scopes, release_values) as r (scope, value)
            where c.scope = r.scope and c.value = r.value;
    end if;
    if array_length(claim_scopes, 1) > 0 then
        insert into claims (scope, value, owner)
            select distinct c.scope, c.value, c.owner from unnest(claim_scopes, claim_values, claim_owners) as c (scope, value, owner)
            on conflict (scope, value) do nothing;
    end if;
    outcome := 'appended';
end $$;

-- Subscriptions: who leads each (a lease by the database's clock) and how far it came. The lease is for thrift; what
-- keeps a subscription correct is that its checkpoint moves only `where name, epoch and position = what was read`.
create table subscriptions (
    name        text primary key,
    epoch       bigint not null default 0,
    holder      uuid,
    lease_until timestamptz not null default '-infinity',
    position    bigint not null default 0,
    event_id    uuid not null default '00000000-0000-0000-0000-000000000000',
    updated_at  timestamptz not null default now()
) with (fillfactor = 10); -- rewritten many times a second: room on the page for versions that are pruned in place

-- Keys (an order, a product) of a read model that a poison event parked; what happened to the key since waits in order.
create table parked_events (
    subscription text not null,
    key          text not null,
    position     bigint not null,
    error        text, -- of the poison event; null for those that wait behind it
    parked_at    timestamptz not null default now(),
    primary key (subscription, key, position)
);

-- One encryption key per person for their personal data in events, wrapped by a master key.
create table person_keys (
    person_id     uuid primary key,
    wrapped_key   bytea not null,
    master_key_id text not null,
    created_at    timestamptz not null default now()
);
-- Erased people: a late command cannot make the key again, and a restored backup applies it before it serves.
create table erased_people (
    person_id uuid primary key,
    erased_at timestamptz not null default now()
);
