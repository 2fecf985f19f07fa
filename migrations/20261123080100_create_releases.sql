-- Releases and what they are on each arch and scheme.

create table releases (
    id         bigint  generated always as identity primary key,
    stream_id  bigint  not null references streams (id),
    version    text    not null,
    -- Upstream may list a version twice; the second time it is occurrence 1. Ours never do.
    occurrence integer not null default 0,
    -- The place in the stream: the age index, but for drafts, which come last.
    position   integer not null,
    state      text    not null,
    origin     text    not null,
    constraint releases_version_unique unique (stream_id, version, occurrence),
    constraint releases_position_unique unique (stream_id, position) deferrable initially deferred,
    constraint releases_of_stream_unique unique (stream_id, id),
    constraint releases_version_length check (octet_length(version) between 1 and 255),
    constraint releases_occurrence_counts check (occurrence >= 0),
    constraint releases_position_counts check (position >= 0),
    constraint releases_state_known check (state in ('draft', 'published', 'withdrawn')),
    constraint releases_origin_known check (origin in ('upstream', 'git', 'local'))
);

-- Payloads and aliases share a table, since no two of them may be equal on one arch and scheme of a stream.
create table payloads (
    stream_id  bigint  not null,
    release_id bigint  not null,
    arch       text    not null,
    scheme     text    not null,
    payload    text    not null,
    alias      boolean not null,
    synthetic  boolean not null,
    -- Upstream gave it to an older release of the stream as well.
    repeated   boolean not null,
    constraint payloads_of_release foreign key (stream_id, release_id) references releases (stream_id, id) on delete cascade,
    constraint payloads_arch_grammar check (arch ~ '^[a-z0-9_]{1,32}$'),
    constraint payloads_scheme_grammar check (scheme ~ '^[a-z0-9-]{1,32}$'),
    constraint payloads_payload_length check (octet_length(payload) between 1 and 1024),
    constraint payloads_alias_real check (not (alias and (synthetic or repeated)))
);

create unique index payloads_one_per_scope on payloads (release_id, arch, scheme) where not alias;
create unique index payloads_unique_in_scope on payloads (stream_id, arch, scheme, payload) where not repeated;
create index payloads_by_release on payloads (release_id);
