-- Barriers, dead ends and blocked updates. No arches means all.

create table barriers (
    release_id bigint primary key references releases (id) on delete cascade,
    reason     text not null,
    arches     text[],
    origin     text not null,
    constraint barriers_reason_given check (octet_length(reason) <= 4096 and (origin = 'upstream' or btrim(reason) <> '')),
    constraint barriers_arches_grammar check (cardinality(arches) > 0 and array_to_string(arches, ' ', '?') ~ '^[a-z0-9_ ]+$'),
    constraint barriers_origin_known check (origin in ('upstream', 'git', 'local'))
);

create table dead_ends (
    release_id bigint primary key references releases (id) on delete cascade,
    reason     text not null,
    arches     text[],
    origin     text not null,
    constraint dead_ends_reason_given check (octet_length(reason) <= 4096 and (origin = 'upstream' or btrim(reason) <> '')),
    constraint dead_ends_arches_grammar check (cardinality(arches) > 0 and array_to_string(arches, ' ', '?') ~ '^[a-z0-9_ ]+$'),
    constraint dead_ends_origin_known check (origin in ('upstream', 'git', 'local'))
);

create table blocked_updates (
    stream_id         bigint  not null references streams (id),
    position          integer not null,
    first_release_id  bigint  not null,
    last_release_id   bigint  not null,
    target_release_id bigint  not null,
    reason            text    not null,
    arches            text[],
    origin            text    not null,
    constraint blocked_updates_pkey primary key (stream_id, position),
    constraint blocked_updates_first foreign key (stream_id, first_release_id) references releases (stream_id, id),
    constraint blocked_updates_last foreign key (stream_id, last_release_id) references releases (stream_id, id),
    constraint blocked_updates_target foreign key (stream_id, target_release_id) references releases (stream_id, id),
    constraint blocked_updates_target_differs check (target_release_id <> first_release_id),
    constraint blocked_updates_reason_given check (octet_length(reason) <= 4096 and btrim(reason) <> ''),
    constraint blocked_updates_arches_grammar check (cardinality(arches) > 0 and array_to_string(arches, ' ', '?') ~ '^[a-z0-9_ ]+$'),
    constraint blocked_updates_origin_known check (origin in ('upstream', 'git', 'local'))
);
