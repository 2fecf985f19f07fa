-- What comes with a release for people, and what it is a promotion of.

alter table releases
    add column notes text,
    add column promoted_from_stream text,
    add column promoted_from_version text,
    add constraint releases_notes_length check (octet_length(notes) between 1 and 32768),
    add constraint releases_promoted_from_whole check ((promoted_from_stream is null) = (promoted_from_version is null));

create table artifacts (
    release_id bigint not null references releases (id) on delete cascade,
    arch       text   not null,
    name       text   not null,
    url        text   not null,
    sha256     bytea,
    size       bigint,
    constraint artifacts_pkey primary key (release_id, arch, name),
    constraint artifacts_arch_grammar check (arch ~ '^[a-z0-9_]{1,32}$'),
    constraint artifacts_name_grammar check (name ~ '^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$'),
    constraint artifacts_url_length check (octet_length(url) between 1 and 2048),
    constraint artifacts_sha256_length check (octet_length(sha256) = 32),
    constraint artifacts_size_counts check (size >= 0)
);
