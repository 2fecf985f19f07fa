-- Who did what, when and why, across streams: one row an act, written with it. Kept for ever.

create table audit (
    id         bigint      generated always as identity primary key,
    at         timestamptz not null,
    actor      text        not null,
    -- What was done, such as rollout.pause.
    action     text        not null,
    -- Absent for what is about no stream.
    product    text,
    stream     text,
    -- The revision that came of it.
    revision   bigint,
    -- What it was done to, such as a token's id.
    subject    text,
    reason     text        not null,
    request_id text,
    constraint audit_actor_given check (btrim(actor) <> ''),
    constraint audit_action_grammar check (action ~ '^[a-z-]+(\.[a-z-]+)+$'),
    constraint audit_reason_given check (btrim(reason) <> ''),
    constraint audit_stream_of_product check (stream is null or product is not null)
);

create index audit_of_stream on audit (product, stream, id);
