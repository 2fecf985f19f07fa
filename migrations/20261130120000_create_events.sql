-- Events for consoles and scripts, and what they cover. Ids have no gaps: one process at a time writes events, in transactions that move the
-- cursor. A backup has no rows of these tables, so that a restored database begins with the state that was restored.

create table events (
    id      bigint      primary key,
    at      timestamptz not null,
    product text        not null,
    -- Absent for what concerns a product with all of its streams.
    stream  text,
    kind    text        not null,
    details jsonb       not null,
    constraint events_kind_known
        check (kind in ('revision', 'rollout_share', 'gate_waiting', 'stop_begun', 'stop_ended')),
    constraint events_only_stops_of_products check (stream is not null or kind in ('stop_begun', 'stop_ended'))
);

create table event_cursor (
    is_single     boolean primary key default true,
    -- The newest event. Before the first one, a number that is higher than the ids before a restore.
    last_id       bigint  not null,
    -- The newest event that was deleted. All later ones are kept.
    deleted_to    bigint  not null,
    -- The time up to which rollouts were followed, in seconds since 1970.
    covered_until bigint  not null,
    constraint event_cursor_has_one_row check (is_single),
    constraint event_cursor_ids_ordered check (deleted_to <= last_id)
);

-- The revision of each stream up to which events were written.
create table event_cursor_streams (
    stream_id bigint primary key references streams (id),
    revision  bigint not null
);

-- The product stops whose begin was written.
create table event_cursor_stops (
    stop_id   bigint  primary key references product_stops (id),
    -- Whether its end was written, too.
    has_ended boolean not null
);
