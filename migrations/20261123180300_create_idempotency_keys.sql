-- What was answered to a request that names itself: asked again, it is answered the same and not done twice.

create table idempotency_keys (
    actor       text        not null,
    key         text        not null,
    -- The SHA-256 of what was asked.
    fingerprint bytea       not null,
    -- Absent only within the transaction that does it.
    answer      json,
    made_at     timestamptz not null,
    constraint idempotency_keys_pkey primary key (actor, key),
    constraint idempotency_keys_key_length check (octet_length(key) between 1 and 255),
    constraint idempotency_keys_fingerprint_length check (octet_length(fingerprint) = 32)
);

create index idempotency_keys_by_age on idempotency_keys (made_at);
